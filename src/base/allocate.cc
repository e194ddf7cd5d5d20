// operator new and delete with a longer memory than the C library's. Handling a request makes and
// drops hundreds of small blocks of a few sizes (JSON above all), and glibc keeps seven of a size
// for a thread; the rest are cut, merged and cut again: a fifth of the time of a small write. Here
// each thread keeps freed blocks of up to a kilobyte, by size and up to a bound, and takes from
// those first.
//
// Blocks are malloc's own, so their sizes are what malloc_usable_size says, and a block may be
// freed by any thread and by free(). Only the static executable has this: sanitizers bring their
// own.
#include <malloc.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

// malloc's blocks hold 16 n + 8 bytes; n is the class.
constexpr size_t kClasses = 64;
constexpr size_t kMostBytes = 16 * (kClasses - 1) + 8;
constexpr uint32_t kKeptBytes = 24 * 1024;  // of each class

struct Block {
  Block* next;
};

struct Kept {
  Block* first;
  uint32_t count;
};

thread_local Kept kept[kClasses];
thread_local bool ended;  // the thread's end has been here: nothing may be kept any more

// Gives everything back when its thread ends.
struct AtThreadEnd {
  bool armed = false;
  ~AtThreadEnd() {
    ended = true;
    for (Kept& k : kept) {
      while (k.first != nullptr) {
        Block* block = k.first;
        k.first = block->next;
        std::free(block);
      }
    }
  }
};
thread_local AtThreadEnd at_thread_end;

constexpr size_t class_for(size_t size) { return size <= 24 ? 1 : (size + 7) / 16; }

[[noreturn]] void out_of_memory() {
  constexpr char kText[] = "knarr: out of memory\n";
  (void)!write(STDERR_FILENO, kText, sizeof kText - 1);
  std::abort();
}

void* fresh(size_t size) {
  at_thread_end.armed = true;
  void* block = std::malloc(size);
  if (block == nullptr) out_of_memory();
  return block;
}

inline void* take(size_t size) {
  if (size > kMostBytes) return fresh(size);
  size_t n = class_for(size);
  Kept& k = kept[n];
  if (k.first == nullptr) return fresh(16 * n + 8);
  Block* block = k.first;
  k.first = block->next;
  k.count--;
  return block;
}

inline void give(void* p) {
  if (p == nullptr) return;
  size_t size = malloc_usable_size(p);
  if (size > kMostBytes || ended) return std::free(p);
  size_t n = (size - 8) / 16;
  Kept& k = kept[n];
  if (k.count * size >= kKeptBytes) return std::free(p);
  auto* block = static_cast<Block*>(p);
  block->next = k.first;
  k.first = block;
  k.count++;
}

}  // namespace

void* operator new(size_t size) { return take(size); }
void* operator new[](size_t size) { return take(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return size > kMostBytes ? std::malloc(size) : take(size);
}
void* operator new[](size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete(void* p) noexcept { give(p); }
void operator delete[](void* p) noexcept { give(p); }
void operator delete(void* p, size_t) noexcept { give(p); }
void operator delete[](void* p, size_t) noexcept { give(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { give(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { give(p); }
