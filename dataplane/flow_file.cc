#include "dataplane/flow_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <new>
#include <system_error>
#include <utility>

#include "contract/directory.h"

namespace perigee {

namespace {

constexpr std::array<char, 8> kMagic = {'P', 'R', 'G', 'F', 'L', 'O', 'W', 'S'};
constexpr std::uint32_t kVersion = 1;

std::string reason(int code) { return std::generic_category().message(code); }

// Why what is in the file cannot be continued, or nothing.
const char* mismatch(const FlowFileHeader& header, const FlowFile::Options& options) {
  if (header.complete.load(std::memory_order_acquire) != 1) return "it was never completed";
  if (header.magic != kMagic) return "it is not a flow state file";
  if (header.version != kVersion) return "its layout has another version";
  if (header.boot_id != options.boot_id) return "it is from before the host's last start";
  if (header.capacity != options.capacity || header.slots != FlowTable::slots_for(options.capacity)) {
    return "it has another capacity";
  }
  if (header.worker != options.worker || header.worker_count != options.worker_count) {
    return "it belongs to another set of workers";
  }
  return nullptr;
}

// On memory that is all zero.
void begin(FlowFileHeader& header, const FlowFile::Options& options) {
  header.magic = kMagic;
  header.version = kVersion;
  header.slots = FlowTable::slots_for(options.capacity);
  header.capacity = options.capacity;
  header.worker = options.worker;
  header.worker_count = options.worker_count;
  header.boot_id = options.boot_id;
  while (getrandom(&header.seed, sizeof header.seed, 0) != sizeof header.seed) {
  }
  header.complete.store(1, std::memory_order_release);
}

bool on_tmpfs(int fd) {
  struct statfs info {};
  return fstatfs(fd, &info) == 0 && (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

// Read and write for us alone, without following a link; regular and ours.
Result<Descriptor> open_state(const Descriptor& directory, const std::string& name) {
  Descriptor file(openat(directory.get(), name.c_str(),
                         O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.valid()) return Error{name, "cannot be opened: " + reason(errno)};
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return Error{name, "cannot be examined: " + reason(errno)};
  if (!S_ISREG(info.st_mode)) return Error{name, "is not a regular file"};
  if (info.st_uid != geteuid()) return Error{name, "belongs to uid " + std::to_string(info.st_uid)};
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return Error{name, "is writable by its group or by others"};
  return file;
}

// An empty file of `size` octets whose memory is reserved, so that no later store can fault.
Result<void> make_empty(const Descriptor& file, const std::string& name, std::uint64_t size) {
  if (ftruncate(file.get(), 0) != 0) return Error{name, "cannot be emptied: " + reason(errno)};
  const int code = posix_fallocate(file.get(), 0, static_cast<off_t>(size));
  if (code != 0) return Error{name, "has no room for " + std::to_string(size) + " octets: " + reason(code)};
  return {};
}

}  // namespace

BootId read_boot_id() {
  BootId id{};
  std::ifstream("/proc/sys/kernel/random/boot_id").read(id.data(), id.size());
  return id;
}

Result<void> FlowFile::map_file(const Options& options, std::uint64_t size) {
  Result<Descriptor> directory = open_directory(options.directory);
  if (!directory) return directory.error();
  const std::string name = "flows-" + std::to_string(options.worker) + ".bin";
  const Result<Descriptor> file = open_state(*directory, name);
  if (!file) return Error{options.directory + "/" + file.error().where, file.error().what};
  if (!on_tmpfs(file->get())) {
    notices_.push_back(options.directory +
                       " is not on tmpfs: every packet of a flow is written back to a disk, and stalls there "
                       "stall forwarding; use a directory below /run or /dev/shm");
  }
  struct stat info {};
  if (fstat(file->get(), &info) != 0) return Error{name, "cannot be examined: " + reason(errno)};
  const bool existed = info.st_size != 0;
  bool fits = static_cast<std::uint64_t>(info.st_size) == size;
  const char* why = "it has another size";
  for (int round = 0; round < 2; ++round) {
    if (!fits) {
      const Result<void> empty = make_empty(*file, options.directory + "/" + name, size);
      if (!empty) return empty.error();
    }
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->get(), 0);
    if (memory == MAP_FAILED) return Error{name, "cannot be mapped: " + reason(errno)};
    header_ = std::launder(static_cast<FlowFileHeader*>(memory));
    size_ = size;
    if (!fits) break;
    why = mismatch(*header_, options);
    if (why == nullptr) return {};
    fits = false;
    munmap(memory, size);
    header_ = nullptr;
  }
  discarded_ = existed;
  if (existed) notices_.push_back(options.directory + "/" + name + ": flows forgotten, because " + why);
  begin(*header_, options);
  return {};
}

Result<FlowFile> FlowFile::open(const Options& options) {
  if (options.capacity == 0 || options.capacity > FlowTable::kMaxCapacity) {
    return Error{"flows", "must be between 1 and " + std::to_string(FlowTable::kMaxCapacity)};
  }
  const std::uint64_t size =
      sizeof(FlowFileHeader) + std::uint64_t{FlowTable::slots_for(options.capacity)} * sizeof(FlowEntry);
  FlowFile file;
  if (!options.directory.empty()) {
    const Result<void> mapped = file.map_file(options, size);
    if (!mapped) return mapped.error();
  } else {
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return Error{"flows", "no memory for the flow table: " + reason(errno)};
    file.header_ = std::launder(static_cast<FlowFileHeader*>(memory));
    file.size_ = size;
    begin(*file.header_, options);
  }
  // Fewer TLB misses where the kernel can; nothing depends on it.
  (void)madvise(file.header_, size, MADV_HUGEPAGE);
  // Now, so that no flow's first packet waits for its page.
  (void)madvise(file.header_, size, MADV_POPULATE_WRITE);
  return file;
}

FlowFile::FlowFile(FlowFile&& other) noexcept
    : header_(std::exchange(other.header_, nullptr)),
      size_(other.size_),
      discarded_(other.discarded_),
      notices_(std::move(other.notices_)) {}

FlowFile::~FlowFile() {
  if (header_ != nullptr) munmap(header_, size_);
}

std::span<FlowEntry> FlowFile::entries() {
  return {std::launder(reinterpret_cast<FlowEntry*>(header_ + 1)), header_->slots};
}

}  // namespace perigee
