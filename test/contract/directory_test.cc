#include "contract/directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "test/contract/run_directory.h"

namespace perigee {
namespace {

class Directory : public testing::Test {
 protected:
  [[nodiscard]] std::string inside(const std::string& name) const { return directory_.path() + "/" + name; }
  [[nodiscard]] Descriptor open() const { return std::move(open_directory(directory_.path()).value()); }

  RunDirectory directory_;
};

template <class T>
std::string fault(const Result<T>& result) {
  return result ? "" : result.error().text();
}

TEST_F(Directory, ADescriptorHasOneOwner) {
  Descriptor first = open();
  const int fd = first.get();
  Descriptor second(std::move(first));
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): its state after the move is what is tested
  EXPECT_EQ(second.get(), fd);
  { const Descriptor third = std::move(second); }
  EXPECT_EQ(fcntl(fd, F_GETFD), -1) << "closed by the last owner";
}

TEST_F(Directory, OpensWhatIsPrivate) {
  EXPECT_TRUE(open_directory(directory_.path()));
  EXPECT_TRUE(open_directory(directory_.path() + "//"));
}

TEST_F(Directory, RefusesLinksFilesAndNothing) {
  ASSERT_EQ(symlink(directory_.path().c_str(), inside("link").c_str()), 0);
  std::ofstream(inside("file")) << "x";
  EXPECT_NE(fault(open_directory(inside("link"))).find("symbolic link"), std::string::npos);
  EXPECT_NE(fault(open_directory(inside("link/"))).find("symbolic link"), std::string::npos);
  EXPECT_FALSE(open_directory(inside("file")));
  EXPECT_FALSE(open_directory(inside("absent")));
  EXPECT_FALSE(open_directory(""));
}

TEST_F(Directory, RefusesForeignWriters) {
  for (const mode_t mode : {0775U, 0757U, 0777U, 01777U}) {
    ASSERT_EQ(chmod(directory_.path().c_str(), mode), 0);
    EXPECT_NE(fault(open_directory(directory_.path())).find("writable"), std::string::npos)
        << std::oct << mode;
  }
  ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
  EXPECT_TRUE(open_directory(directory_.path()));
}

TEST_F(Directory, RefusesForeignOwners) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(chown(directory_.path().c_str(), 12345, 12345), 0);
  EXPECT_NE(fault(open_directory(directory_.path())).find("uid 12345"), std::string::npos);
  EXPECT_FALSE(open_directory(directory_.path(), 54321));
  EXPECT_TRUE(open_directory(directory_.path(), 12345));
}

TEST_F(Directory, RegularFilesOnly) {
  std::ofstream(inside("file")) << "12345678";
  ASSERT_EQ(symlink("file", inside("link").c_str()), 0);
  ASSERT_EQ(mkfifo(inside("fifo").c_str(), 0644), 0);
  ASSERT_EQ(mkdir(inside("sub").c_str(), 0755), 0);
  const Descriptor directory = open();
  EXPECT_TRUE(open_regular(directory, "file", 8));
  EXPECT_NE(fault(open_regular(directory, "file", 7)).find("8 octets; at most 7"), std::string::npos);
  EXPECT_NE(fault(open_regular(directory, "link", 8)).find("symbolic link"), std::string::npos);
  EXPECT_NE(fault(open_regular(directory, "fifo", 8)).find("not a regular file"), std::string::npos);
  EXPECT_NE(fault(open_regular(directory, "sub", 8)).find("not a regular file"), std::string::npos);
  EXPECT_FALSE(open_regular(directory, "absent", 8));
  ASSERT_EQ(chmod(inside("file").c_str(), 0666), 0);
  EXPECT_NE(fault(open_regular(directory, "file", 8)).find("writable"), std::string::npos);
}

TEST_F(Directory, FilesBelongToTheDirectorysOwner) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  std::ofstream(inside("file")) << "x";
  ASSERT_EQ(chown(inside("file").c_str(), 12345, 12345), 0);
  EXPECT_NE(fault(open_regular(open(), "file", 8)).find("uid 12345"), std::string::npos);
}

TEST_F(Directory, TheSecondWriterLearnsWhoHoldsTheLock) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto held = lock_directory(open(), directory_.path());
    const char verdict = held ? '1' : '0';
    if (write(ready[1], &verdict, 1) == 1) pause();
    _exit(0);
  }
  char verdict = 0;
  ASSERT_EQ(read(ready[0], &verdict, 1), 1);
  ASSERT_EQ(verdict, '1');
  const std::string held = fault(lock_directory(open(), directory_.path()));
  EXPECT_NE(held.find("held by process " + std::to_string(child) + " (contract_direc"), std::string::npos)
      << held;
  EXPECT_NE(held.find(inside("lock")), std::string::npos) << held;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(lock_directory(open(), directory_.path())) << "a dead holder holds nothing";
  close(ready[0]);
  close(ready[1]);
}

TEST_F(Directory, TheLockIsNoLink) {
  std::ofstream(inside("victim")) << "untouched";
  ASSERT_EQ(symlink("victim", inside("lock").c_str()), 0);
  EXPECT_FALSE(lock_directory(open(), directory_.path()));
}

TEST_F(Directory, ANewFileAppearsWholeOrNotAtAll) {
  const Descriptor directory = open();
  const mode_t mask = umask(0077);
  {
    auto file = NewFile::create(directory, "data");
    ASSERT_TRUE(file) << fault(file);
    ASSERT_TRUE(file->write(std::as_bytes(std::span("abc", 3))));
    EXPECT_FALSE(open_regular(directory, "data", 8)) << "not before publish()";
  }
  EXPECT_TRUE(directory_.entries().empty()) << "dropped unpublished";
  auto file = NewFile::create(directory, "data");
  auto other = NewFile::create(directory, "data");
  umask(mask);
  ASSERT_TRUE(file && other) << "temporary names are unique";
  ASSERT_TRUE(file->write(std::as_bytes(std::span("abc", 3))));
  ASSERT_TRUE(file->publish());
  EXPECT_TRUE(open_regular(directory, "data", 3));
  struct stat info {};
  ASSERT_EQ(stat(inside("data").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0644U) << "whatever the umask";
}

}  // namespace
}  // namespace perigee
