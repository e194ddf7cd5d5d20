#include "runtime/image/tar_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/format.h"

namespace knarr::runtime {

namespace {

constexpr size_t kBlock = 512;
constexpr int64_t kMaxRecords = 1 << 20;  // of pax headers and long names
constexpr size_t kMaxRuns = 1 << 18;
constexpr int64_t kMaxSize = int64_t{1} << 53;

Error bad(std::string what) { return make_error(Code::kInvalid, "archive/tar: " + what); }

std::string_view field(const char* header, size_t at, size_t length) {
  std::string_view text(header + at, length);
  return text.substr(0, text.find('\0'));
}

Result<int64_t> parse_decimal(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return bad("invalid number");
  return value;
}

// Octal, padded with blanks or zeros; or, with the top bit set, a big-endian binary number.
Result<int64_t> parse_number(const char* header, size_t at, size_t length) {
  const auto* raw = reinterpret_cast<const unsigned char*>(header + at);
  if ((raw[0] & 0x80) != 0) {
    bool negative = (raw[0] & 0x40) != 0;
    uint64_t value = 0;
    for (size_t i = 0; i < length; ++i) {
      unsigned char byte = negative ? static_cast<unsigned char>(~raw[i]) : raw[i];
      if (i == 0) byte &= 0x7f;
      if ((value >> 55) != 0) return bad("number out of range");
      value = (value << 8) | byte;
    }
    return negative ? -static_cast<int64_t>(value) - 1 : static_cast<int64_t>(value);
  }
  std::string_view text(header + at, length);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\0')) text.remove_prefix(1);
  text = text.substr(0, text.find('\0'));
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.empty()) return int64_t{0};
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (error != std::errc() || end != text.data() + text.size()) return bad("invalid header");
  return value;
}

// Seconds with an optional fraction, to nanoseconds; saturates.
int64_t parse_time(std::string_view text) {
  size_t dot = text.find('.');
  int64_t seconds = 0;
  std::string_view whole = text.substr(0, dot);
  std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
  int64_t nanos = 0;
  std::string_view fraction = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  for (size_t i = 0; i < 9; ++i) {
    char digit = i < fraction.size() ? fraction[i] : '0';
    if (digit < '0' || digit > '9') digit = '0';
    nanos = nanos * 10 + (digit - '0');
  }
  seconds = std::clamp<int64_t>(seconds, -9'000'000'000, 9'000'000'000);
  return seconds * 1'000'000'000 + (text.starts_with('-') ? -nanos : nanos);
}

bool checksum_fits(const char* header) {
  int64_t want = 0;
  if (Result<int64_t> parsed = parse_number(header, 148, 8); parsed.ok()) {
    want = *parsed;
  } else {
    return false;
  }
  int64_t as_unsigned = 0;
  int64_t as_signed = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    char c = i >= 148 && i < 156 ? ' ' : header[i];
    as_unsigned += static_cast<unsigned char>(c);
    as_signed += static_cast<signed char>(c);
  }
  return want == as_unsigned || want == as_signed;
}

// "<length> <key>=<value>\n", the length counting all of it.
Result<void> parse_pax(std::string_view text, std::map<std::string, std::string>& records) {
  while (!text.empty()) {
    size_t space = text.find(' ');
    if (space == std::string_view::npos) return bad("invalid pax header");
    TRY_ASSIGN(int64_t length, parse_decimal(text.substr(0, space)));
    if (length < static_cast<int64_t>(space) + 3 || length > static_cast<int64_t>(text.size()) ||
        text[static_cast<size_t>(length) - 1] != '\n') {
      return bad("invalid pax header");
    }
    std::string_view record = text.substr(space + 1, static_cast<size_t>(length) - space - 2);
    size_t equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) return bad("invalid pax header");
    std::string key(record.substr(0, equals));
    std::string value(record.substr(equals + 1));
    text.remove_prefix(static_cast<size_t>(length));
    // Version 0.0 of sparse files repeats its keys: kept as one list, in order.
    if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {
      std::string& map = records["GNU.sparse.map"];
      if (!map.empty()) map += ',';
      map += value;
      continue;
    }
    records[key] = std::move(value);
  }
  return {};
}

std::optional<TarType> type_of(char flag, bool directory_name) {
  switch (flag) {
    case '\0':
    case '0': return directory_name ? TarType::kDirectory : TarType::kFile;
    case '7':
    case 'S': return TarType::kFile;
    case '1': return TarType::kHardLink;
    case '2': return TarType::kSymlink;
    case '3': return TarType::kCharDevice;
    case '4': return TarType::kBlockDevice;
    case '5': return TarType::kDirectory;
    case '6': return TarType::kFifo;
    default: return std::nullopt;
  }
}

}  // namespace

Result<bool> TarReader::read_block(char* block) {
  size_t have = 0;
  while (have < kBlock) {
    TRY_ASSIGN(size_t got, source_.read(block + have, kBlock - have));
    if (got == 0) {
      if (have == 0) return false;
      return bad("unexpected EOF");
    }
    have += got;
  }
  return true;
}

Result<void> TarReader::skip(int64_t bytes) {
  std::vector<char> buffer(bytes > 0 ? 1 << 16 : 0);
  while (bytes > 0) {
    size_t want = static_cast<size_t>(std::min<int64_t>(bytes, 1 << 16));
    TRY_ASSIGN(size_t got, source_.read(buffer.data(), want));
    if (got == 0) return bad("unexpected EOF");
    bytes -= static_cast<int64_t>(got);
  }
  return {};
}

Result<size_t> TarReader::read(char* out, size_t n) {
  size_t want = static_cast<size_t>(std::min<int64_t>(left_, static_cast<int64_t>(n)));
  if (want == 0) return size_t{0};
  TRY_ASSIGN(size_t got, source_.read(out, want));
  if (got == 0) return bad("unexpected EOF");
  left_ -= static_cast<int64_t>(got);
  return got;
}

// The data of the current header, as text.
Result<std::string> TarReader::read_text(int64_t size, int64_t limit) {
  if (size > limit) return bad("header too large");
  std::string text(static_cast<size_t>(size), 0);
  for (size_t have = 0; have < text.size();) {
    TRY_ASSIGN(size_t got, read(text.data() + have, text.size() - have));
    have += got;
  }
  TRY(skip(padding_));
  padding_ = 0;
  return text;
}

// The next header that stands for a file, and what the extended headers before it say about it.
Result<bool> TarReader::next_header(char* header, Records& records) {
  for (;;) {
    TRY(skip(left_ + padding_));
    left_ = padding_ = 0;
    TRY_ASSIGN(bool any, read_block(header));
    if (!any) return false;
    if (std::all_of(header, header + kBlock, [](char c) { return c == 0; })) return false;
    if (!checksum_fits(header)) return bad("invalid tar header");
    TRY_ASSIGN(int64_t size, parse_number(header, 124, 12));
    if (size < 0 || size > kMaxSize) return bad("invalid tar header");
    char flag = header[156];
    bool no_data = flag >= '1' && flag <= '6';
    left_ = no_data ? 0 : size;
    padding_ = (static_cast<int64_t>(kBlock) - left_ % static_cast<int64_t>(kBlock)) %
               static_cast<int64_t>(kBlock);
    if (flag == 'x' || flag == 'g') {
      TRY_ASSIGN(std::string text, read_text(size, kMaxRecords));
      TRY(parse_pax(text, flag == 'x' ? records : global_));
    } else if (flag == 'L' || flag == 'K') {
      TRY_ASSIGN(std::string text, read_text(size, kMaxRecords));
      text = text.substr(0, text.find('\0'));
      records[flag == 'L' ? "path" : "linkpath"] = std::move(text);
    } else if (type_of(flag, false)) {
      return true;
    } else {
      records.clear();  // a volume label or another vendor's record
    }
  }
}

Result<void> TarReader::fill(const char* header, const Records& records, TarEntry& entry) {
  std::string_view magic(header + 257, 8);
  bool ustar = magic.starts_with("ustar");
  bool gnu = magic == std::string_view("ustar  \0", 8);
  entry.path = field(header, 0, 100);
  if (ustar && !gnu && header[345] != 0) {
    entry.path = std::string(field(header, 345, 155)) + "/" + entry.path;
  }
  entry.link = field(header, 157, 100);
  TRY_ASSIGN(int64_t mode, parse_number(header, 100, 8));
  entry.mode = static_cast<unsigned>(mode) & 07777;
  TRY_ASSIGN(entry.uid, parse_number(header, 108, 8));
  TRY_ASSIGN(entry.gid, parse_number(header, 116, 8));
  TRY_ASSIGN(int64_t mtime, parse_number(header, 136, 12));
  entry.mtime_ns = std::clamp<int64_t>(mtime, -9'000'000'000, 9'000'000'000) * 1'000'000'000;
  if (ustar) {
    TRY_ASSIGN(int64_t major, parse_number(header, 329, 8));
    TRY_ASSIGN(int64_t minor, parse_number(header, 337, 8));
    entry.device_major = static_cast<unsigned>(major);
    entry.device_minor = static_cast<unsigned>(minor);
  }
  for (const auto& [key, value] : records) {
    if (key == "path") entry.path = value;
    if (key == "linkpath") entry.link = value;
    if (key == "uid") {
      TRY_ASSIGN(entry.uid, parse_decimal(value));
    }
    if (key == "gid") {
      TRY_ASSIGN(entry.gid, parse_decimal(value));
    }
    if (key == "mtime") entry.mtime_ns = parse_time(value);
    if (key == "size") {
      TRY_ASSIGN(left_, parse_decimal(value));
      if (left_ < 0 || left_ > kMaxSize) return bad("invalid pax header");
    }
    if (key.starts_with("SCHILY.xattr.")) entry.xattrs[key.substr(13)] = value;
  }
  char flag = header[156];
  entry.type = *type_of(flag, !entry.path.empty() && entry.path.back() == '/');
  if (entry.type != TarType::kFile) left_ = 0;
  padding_ = (static_cast<int64_t>(kBlock) - left_ % static_cast<int64_t>(kBlock)) %
             static_cast<int64_t>(kBlock);
  entry.size = left_;
  return {};
}

Result<bool> TarReader::next(TarEntry& entry) {
  entry = TarEntry();
  char header[kBlock];
  Records records;
  TRY_ASSIGN(bool any, next_header(header, records));
  if (!any) return false;
  for (const auto& [key, value] : global_) records.try_emplace(key, value);
  TRY(fill(header, records, entry));
  if (header[156] == 'S') {
    TRY(read_gnu_sparse(header, entry));
  } else if (records.count("GNU.sparse.map") != 0 || records.count("GNU.sparse.major") != 0) {
    TRY(read_pax_sparse(records, entry));
  }
  if (entry.sparse) TRY(check_runs(entry));
  // A name with a NUL is one thing to us and another to the kernel.
  if ((entry.path + entry.link).find('\0') != std::string::npos) return bad("NUL in a name");
  return true;
}

// The old dialect: four runs in the header, 21 in each extension block.
Result<void> TarReader::read_gnu_sparse(const char* header, TarEntry& entry) {
  entry.sparse = true;
  TRY_ASSIGN(entry.size, parse_number(header, 483, 12));
  char extension[kBlock];
  const char* at = header;
  size_t first = 386;
  size_t count = 4;
  bool more = header[482] != 0;
  for (;;) {
    for (size_t i = 0; i < count; ++i) {
      if (at[first + i * 24] == 0) break;
      TRY_ASSIGN(int64_t offset, parse_number(at, first + i * 24, 12));
      TRY_ASSIGN(int64_t length, parse_number(at, first + i * 24 + 12, 12));
      entry.runs.push_back({offset, length});
    }
    if (!more) return {};
    TRY_ASSIGN(bool any, read_block(extension));
    if (!any || entry.runs.size() > kMaxRuns) return bad("invalid sparse map");
    at = extension;
    first = 0;
    count = 21;
    more = extension[504] != 0;
  }
}

Result<void> TarReader::read_pax_sparse(const Records& records, TarEntry& entry) {
  auto text = [&](const char* key) {
    auto it = records.find(key);
    return it == records.end() ? std::string() : it->second;
  };
  entry.sparse = true;
  if (!text("GNU.sparse.name").empty()) entry.path = text("GNU.sparse.name");
  std::string size = text("GNU.sparse.realsize");
  if (size.empty()) size = text("GNU.sparse.size");
  TRY_ASSIGN(entry.size, parse_decimal(size));
  if (text("GNU.sparse.major") == "1" && text("GNU.sparse.minor") == "0") {
    return read_sparse_map(entry);
  }
  std::string map = text("GNU.sparse.map");
  std::vector<int64_t> numbers;
  for (size_t at = 0; at < map.size();) {
    size_t comma = std::min(map.find(',', at), map.size());
    TRY_ASSIGN(int64_t number, parse_decimal(std::string_view(map).substr(at, comma - at)));
    numbers.push_back(number);
    at = comma + 1;
  }
  if (numbers.size() % 2 != 0) return bad("invalid sparse map");
  for (size_t i = 0; i < numbers.size(); i += 2) entry.runs.push_back({numbers[i], numbers[i + 1]});
  return {};
}

// Version 1.0: the map stands before the data, as decimal lines, padded to a block.
Result<void> TarReader::read_sparse_map(TarEntry& entry) {
  std::vector<int64_t> numbers;
  std::string line;
  char block[kBlock];
  while (numbers.empty() || numbers.size() < 1 + 2 * static_cast<size_t>(numbers[0])) {
    if (left_ < static_cast<int64_t>(kBlock)) return bad("invalid sparse map");
    TRY(read_block(block));
    left_ -= static_cast<int64_t>(kBlock);
    for (char c : std::string_view(block, kBlock)) {
      if (!numbers.empty() && numbers.size() == 1 + 2 * static_cast<size_t>(numbers[0])) break;
      if (c != '\n') {
        line += c;
        if (line.size() > 20) return bad("invalid sparse map");
        continue;
      }
      TRY_ASSIGN(int64_t number, parse_decimal(line));
      line.clear();
      if (number < 0 || (numbers.empty() && number > static_cast<int64_t>(kMaxRuns))) {
        return bad("invalid sparse map");
      }
      numbers.push_back(number);
    }
  }
  for (size_t i = 1; i < numbers.size(); i += 2) entry.runs.push_back({numbers[i], numbers[i + 1]});
  return {};
}

// Runs are in order, apart, inside the file, and together exactly the data.
Result<void> TarReader::check_runs(const TarEntry& entry) const {
  int64_t end = 0;
  int64_t data = 0;
  if (entry.size < 0 || entry.size > kMaxSize) return bad("invalid sparse map");
  for (const TarEntry::Run& run : entry.runs) {
    if (run.offset < end || run.length < 0 || run.offset > entry.size ||
        run.length > entry.size - run.offset) {
      return bad("invalid sparse map");
    }
    end = run.offset + run.length;
    data += run.length;
  }
  return data == left_ ? Result<void>() : bad("invalid sparse map");
}

}  // namespace knarr::runtime
