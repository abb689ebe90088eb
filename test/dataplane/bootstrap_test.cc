#include "dataplane/bootstrap.h"

#include <gmock/gmock.h>

#include <map>

namespace perigee {
namespace {

using ::testing::HasSubstr;

Invocation parse(std::vector<std::string> arguments, const std::map<std::string, std::string>& files = {}) {
  return parse_invocation(arguments, [&](const std::string& path) -> Result<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return Error{path, "cannot be read"};
    return Result<std::string>(boost::system::in_place_value, found->second);
  });
}

std::vector<std::string> texts(const Invocation& invocation) {
  std::vector<std::string> all;
  for (const Error& error : invocation.errors) all.push_back(error.text());
  return all;
}

const std::string kPort = "edge0=edge,net_af_packet0,iface=edge0";

TEST(Bootstrap, APortIsEnough) {
  const Invocation invocation = parse({"--port", kPort});
  EXPECT_THAT(texts(invocation), ::testing::IsEmpty());
  ASSERT_EQ(invocation.bootstrap.ports.size(), 1U);
  const PortSetting& port = invocation.bootstrap.ports[0];
  EXPECT_EQ(port.name, "edge0");
  EXPECT_EQ(port.role, PortRole::edge);
  EXPECT_EQ(port.device, "net_af_packet0");
  EXPECT_EQ(port.arguments, "iface=edge0");
  EXPECT_EQ(port.device_arguments(), "net_af_packet0,iface=edge0");
  EXPECT_FALSE(port.is_pci());
  EXPECT_EQ(invocation.bootstrap.flows, 262144U);
  EXPECT_FALSE(invocation.bootstrap.lcore);
}

TEST(Bootstrap, EveryOptionIsTaken) {
  const Invocation invocation =
      parse({"--port=a=link,0000:03:00.0", "--port", "b=host,net_tap0", "--lcore", "3", "--memory=512",
             "--no-huge", "--flows", "4096", "--busy", "--table-dir", "/t", "--telemetry-dir", "/m",
             "--state-dir", "/s", "--table-owner", "0"});
  EXPECT_THAT(texts(invocation), ::testing::IsEmpty());
  const Bootstrap& bootstrap = invocation.bootstrap;
  ASSERT_EQ(bootstrap.ports.size(), 2U);
  EXPECT_TRUE(bootstrap.ports[0].is_pci());
  EXPECT_EQ(bootstrap.ports[1].device_arguments(), "net_tap0");
  EXPECT_EQ(bootstrap.lcore, 3U);
  EXPECT_EQ(bootstrap.memory_mb, 512U);
  EXPECT_TRUE(bootstrap.no_huge && bootstrap.busy);
  EXPECT_EQ(bootstrap.flows, 4096U);
  EXPECT_EQ(bootstrap.table_dir + bootstrap.telemetry_dir + bootstrap.state_dir, "/t/m/s");
  EXPECT_EQ(bootstrap.table_owner, 0U);
}

TEST(Bootstrap, TheFileHasTheSameKeysAndTheCommandLineOverrulesIt) {
  const std::string file =
      "# a comment\n\n"
      "port = edge0=edge,net_af_packet0,iface=e0\r\n"
      "  flows=2048\n"
      "busy = true\n"
      "memory = 64";
  const Invocation invocation =
      parse({"--memory", "256", "--config", "dp.conf", "--port", "link0=link,net_af_packet1,iface=l0"},
            {{"dp.conf", file}});
  EXPECT_THAT(texts(invocation), ::testing::IsEmpty());
  ASSERT_EQ(invocation.bootstrap.ports.size(), 2U);
  EXPECT_EQ(invocation.bootstrap.ports[0].name, "edge0");
  EXPECT_EQ(invocation.bootstrap.ports[1].name, "link0");
  EXPECT_EQ(invocation.bootstrap.flows, 2048U);
  EXPECT_EQ(invocation.bootstrap.memory_mb, 256U);
  EXPECT_TRUE(invocation.bootstrap.busy);
}

TEST(Bootstrap, AllErrorsComeAtOnceWithTheirPlace) {
  const Invocation invocation = parse({"--flows", "many", "--frobnicate", "x", "--port", "p=router,net_null0",
                                       "--config", "dp.conf", "--busy=perhaps", "--memory"},
                                      {{"dp.conf", "speed = 3\nflows 7\nlcore = 900\nlcore = 1\n"}});
  EXPECT_THAT(texts(invocation),
              ::testing::ElementsAre(
                  HasSubstr("--frobnicate: is unknown"), HasSubstr("x: is not an option"),
                  HasSubstr("--memory: needs a value"), HasSubstr("dp.conf:1: key 'speed' is unknown"),
                  HasSubstr("dp.conf:2: 'flows 7' is not"), HasSubstr("dp.conf:3: lcore '900'"),
                  HasSubstr("dp.conf:4: lcore is given twice"), HasSubstr("--flows: flows 'many'"),
                  HasSubstr("--port: role 'router' should be link, edge or host"),
                  HasSubstr("--busy: busy 'perhaps'")));
}

struct BadCase {
  std::vector<std::string> arguments;
  std::string expected;
};

class BadBootstrap : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadBootstrap, SaysWhatWouldBeRight) {
  const Invocation invocation = parse(GetParam().arguments);
  ASSERT_EQ(invocation.errors.size(), 1U);
  EXPECT_THAT(invocation.errors[0].text(), HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadBootstrap,
    ::testing::Values(
        BadCase{{}, "at least one port"}, BadCase{{"--port", "edge0"}, "is not NAME=ROLE,DEVICE"},
        BadCase{{"--port", "edge0=edge"}, "is not NAME=ROLE,DEVICE"},
        BadCase{{"--port", "edge0=edge,"}, "has no device"},
        BadCase{{"--port", "=edge,net_null0"}, "1 to 31 letters"},
        BadCase{{"--port", std::string(32, 'a') + "=edge,net_null0"}, "1 to 31 letters"},
        BadCase{{"--port", "a=edge,net_null0", "--port", "a=edge,net_null1"}, "is given twice"},
        BadCase{{"--port", "a=edge,net_null0", "--port", "b=edge,net_null0"}, "also that of port 'a'"},
        BadCase{{"--port", kPort, "--flows", "1023"}, "from 1024 to 16777216"},
        BadCase{{"--port", kPort, "--memory", "-1"}, "from 64"},
        BadCase{{"--port", kPort, "--memory", "128MB"}, "from 64"},
        BadCase{{"--port", kPort, "--table-dir", "/a", "--state-dir", "/a"}, "for two purposes"},
        BadCase{{"--port", kPort, "--table-dir="}, "should be the path"},
        BadCase{{"--port", kPort, "--config", "/absent"}, "/absent: cannot be read"},
        BadCase{{"--port", kPort, "--flows", "2048", "--flows", "2048"}, "given twice"}));

TEST(Bootstrap, HelpAndVersionNeedNothingElse) {
  EXPECT_EQ(parse({"--help"}).purpose, Purpose::help);
  EXPECT_EQ(parse({"--version"}).purpose, Purpose::version);
  EXPECT_TRUE(parse({"--help"}).errors.empty());
  for (const char* option :
       {"--port", "--lcore", "--memory", "--no-huge", "--flows", "--busy", "--table-dir", "--telemetry-dir",
        "--state-dir", "--table-owner", "--config", "--help", "--version"}) {
    EXPECT_THAT(usage(), HasSubstr(option));
  }
}

}  // namespace
}  // namespace perigee
