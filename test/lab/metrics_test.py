"""The metrics as their readers see them: promtool, a real Prometheus, and absence where nothing is known."""

import json
import os
import shutil
import unittest
import urllib.parse

import lab_case
import observe
from lab_case import wait_for

# Name of every family of the list that exists from the start.
FAMILIES = """perigee_link_rtt_seconds perigee_link_rtt_window_seconds perigee_link_state perigee_link_up
perigee_link_loss_ratio perigee_link_probes_sent_total perigee_link_probes_received_total
perigee_link_probes_lost_total perigee_link_probes_late_total perigee_link_probes_duplicate_total
perigee_link_probes_reordered_total perigee_link_probes_invalid_total perigee_link_last_sample_age_seconds
perigee_endpoint_healthy perigee_endpoint_engine_polls_total
perigee_service_active_endpoint perigee_service_switches_total
perigee_dataplane_packets_total perigee_dataplane_drops_total perigee_dataplane_flows
perigee_dataplane_poll_gap_seconds perigee_snat_ports_used_ratio perigee_table_generation
perigee_dataplane_table_generation perigee_policy_last_reload_successful perigee_build_info""".split()

PROMETHEUS = """global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs: [{job_name: perigee, static_configs: [{targets: ['127.0.0.1:8620']}]}]
"""


def tool(name):
    """Where Debian's package puts it; a name of PATH, or None."""
    return shutil.which(name)


class MetricsTest(lab_case.LabCase):
    def text(self):
        return self.lab.execute("gateway", ["curl", "-s", "-m", "10", "http://127.0.0.1:8620/metrics"]).stdout

    def test_every_family_is_there_and_promtool_finds_nothing(self):
        wait_for("the load of engines", lambda: "perigee_endpoint_engine_waiting_requests{" in self.text())
        text = self.text()
        missing = [name for name in FAMILIES if f"# TYPE {name} " not in text]
        self.assertEqual(missing, [])
        head = self.lab.execute("gateway", ["curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{content_type}",
                                            "http://127.0.0.1:8620/metrics"]).stdout
        self.assertEqual(head, "text/plain; version=0.0.4; charset=utf-8")
        promtool = tool("promtool")
        if not promtool:
            self.skipTest("promtool (package prometheus) is not installed")
        done = self.lab.spaces.run("gateway", [promtool, "check", "metrics"], text, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    @unittest.skipUnless(tool("prometheus"), "prometheus is not installed")
    def test_a_real_prometheus_scrapes_them(self):
        config = os.path.join(self.lab.run, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(PROMETHEUS)
        command = [tool("prometheus"), f"--config.file={config}", "--web.listen-address=127.0.0.1:9090",
                   f"--storage.tsdb.path={self.lab.run}/prometheus", "--log.level=warn"]
        self.lab.processes.start("prometheus", self.lab.spaces.prefix("gateway") + command)
        self.addCleanup(self.lab.processes.stop, "prometheus")
        wait_for("a good scrape", lambda: self.query("up") == ["1"], patience=60)
        links = 'perigee_link_up{link=~"syd-.*"}'
        wait_for("three links", lambda: self.query(links) == ["1", "1", "1"], patience=60)
        p99 = "histogram_quantile(0.99, sum by (le) (rate(perigee_link_rtt_seconds_bucket[20s])))"
        wait_for("a quantile of the histogram", lambda: any(float(v) > 0.009 for v in self.query(p99)),
                 patience=60)

    def query(self, expression):
        url = "http://127.0.0.1:9090/api/v1/query?query=" + urllib.parse.quote(expression)
        done = self.lab.execute("gateway", ["curl", "-s", "-m", "5", url])
        try:
            return [sample["value"][1] for sample in json.loads(done.stdout)["data"]["result"]]
        except (ValueError, KeyError):
            return []

    def families_of(self, link):
        return {key.partition("{")[0] for key in self.lab.metrics() if f'link="{link}"' in key}

    def test_what_is_not_known_is_absent(self):
        self.addCleanup(self.lab.restore, "syd-per")
        self.lab.cut("syd-per")
        observe.wait_state(self.lab, "syd-per", "down")
        wait_for("no window of a link without replies",
                 lambda: "perigee_link_rtt_window_seconds" not in self.families_of("syd-per"))
        down = self.families_of("syd-per")
        self.assertIn("perigee_link_up", down)
        self.assertIn("perigee_link_probes_sent_total", down)
        self.lab.kill_dataplane("syd")
        wait_for("no measurement without a data plane", lambda: "perigee_link_up" not in
                 {key.partition("{")[0] for key in self.lab.metrics()})
        self.assertNotIn("perigee_dataplane_flows", self.lab.metrics())
        self.lab.start_dataplane("syd")
        self.lab.restore("syd-per")
        self.lab.wait_settled()
        wait_for("the window is back",
                 lambda: "perigee_link_rtt_window_seconds" in self.families_of("syd-per"))


if __name__ == "__main__":
    lab_case.main()
