# Everything comes from Debian 12 packages; scripts/build installs what is missing.
find_package(PkgConfig REQUIRED)
pkg_check_modules(DPDK REQUIRED IMPORTED_TARGET libdpdk)
find_package(Boost 1.81 REQUIRED COMPONENTS json program_options)
find_package(OpenSSL 3 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(prometheus-cpp REQUIRED CONFIG)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
find_package(Threads REQUIRED)

# DPDK's headers raise warnings in C++20 (volatile, packed members): they are a system's, not ours.
get_target_property(dpdk_includes PkgConfig::DPDK INTERFACE_INCLUDE_DIRECTORIES)
set_target_properties(PkgConfig::DPDK PROPERTIES
                      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${dpdk_includes}")
