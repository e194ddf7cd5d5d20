#include "api/validation/value_diff.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/format.h"

namespace knarr::api {
namespace {

constexpr size_t kContext = 3;
// From this many lines on, lines that come up often don't anchor a match.
constexpr size_t kManyLines = 200;

using Lines = std::vector<std::string>;

void append_text(std::string& out, const json::Value& scalar) {
  for (char c : json::write(scalar)) {
    if (c == '<' || c == '>' || c == '&') {
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      out += c;
    }
  }
}

void append_pretty(std::string& out, const json::Value& value, size_t depth) {
  bool object = value.is_object();
  if ((!object && !value.is_array()) || value.empty()) return append_text(out, value);
  out += object ? '{' : '[';
  bool first = true;
  auto begin = [&] {
    out += first ? "\n" : ",\n";
    first = false;
    out.append(depth + 1, ' ');
  };
  for (auto [key, member] : value.members()) {
    begin();
    append_text(out, json::Value(key));
    out += ": ";
    append_pretty(out, member, depth + 1);
  }
  for (const json::Value& element : value.elements()) {
    begin();
    append_pretty(out, element, depth + 1);
  }
  out += '\n';
  out.append(depth, ' ');
  out += object ? '}' : ']';
}

Lines lines_of(const json::Value& value) {
  std::string text;
  append_pretty(text, value, 0);
  Lines out;
  for (size_t at = 0;;) {
    size_t end = text.find('\n', at);
    out.push_back(text.substr(at, end - at));
    if (end == std::string::npos) return out;
    at = end + 1;
  }
}

// Equal runs: `size` lines from a[i] and b[j] on.
struct Match {
  size_t i;
  size_t j;
  size_t size;
};

// Splits at the longest run that both have in common, again and again (Ratcliff and Obershelp).
class Matcher {
 public:
  Matcher(const Lines& a, const Lines& b) : a_(a), b_(b) {
    for (size_t j = 0; j < b.size(); j++) places_[b[j]].push_back(j);
    if (b.size() < kManyLines) return;
    size_t often = b.size() / 100 + 1;
    std::erase_if(places_, [&](const auto& entry) { return entry.second.size() > often; });
  }

  std::vector<Match> matches() {
    split(0, a_.size(), 0, b_.size());
    std::vector<Match> joined;
    for (const Match& m : found_) {
      bool goes_on = !joined.empty() && joined.back().i + joined.back().size == m.i &&
                     joined.back().j + joined.back().size == m.j;
      if (goes_on) {
        joined.back().size += m.size;
      } else {
        joined.push_back(m);
      }
    }
    return joined;
  }

 private:
  Match longest(size_t i_begin, size_t i_end, size_t j_begin, size_t j_end) const {
    Match best{i_begin, j_begin, 0};
    std::unordered_map<size_t, size_t> lengths;  // of runs that end at b[j]
    for (size_t i = i_begin; i < i_end; i++) {
      std::unordered_map<size_t, size_t> next;
      if (auto it = places_.find(a_[i]); it != places_.end()) {
        for (size_t j : it->second) {
          if (j < j_begin) continue;
          if (j >= j_end) break;
          auto before = j == 0 ? lengths.end() : lengths.find(j - 1);
          size_t size = (before == lengths.end() ? 0 : before->second) + 1;
          next[j] = size;
          if (size > best.size) best = {i + 1 - size, j + 1 - size, size};
        }
      }
      lengths = std::move(next);
    }
    while (best.i > i_begin && best.j > j_begin && a_[best.i - 1] == b_[best.j - 1]) {
      best = {best.i - 1, best.j - 1, best.size + 1};
    }
    while (best.i + best.size < i_end && best.j + best.size < j_end &&
           a_[best.i + best.size] == b_[best.j + best.size]) {
      best.size++;
    }
    return best;
  }

  void split(size_t i_begin, size_t i_end, size_t j_begin, size_t j_end) {
    Match m = longest(i_begin, i_end, j_begin, j_end);
    if (m.size == 0) return;
    if (i_begin < m.i && j_begin < m.j) split(i_begin, m.i, j_begin, m.j);
    found_.push_back(m);
    if (m.i + m.size < i_end && m.j + m.size < j_end) {
      split(m.i + m.size, i_end, m.j + m.size, j_end);
    }
  }

  const Lines& a_;
  const Lines& b_;
  std::unordered_map<std::string_view, std::vector<size_t>> places_;
  std::vector<Match> found_;
};

// Lines [i1, i2) of the one become [j1, j2) of the other.
struct Step {
  bool equal;
  size_t i1;
  size_t i2;
  size_t j1;
  size_t j2;
};

std::vector<Step> steps_of(const Lines& a, const Lines& b) {
  std::vector<Step> out;
  size_t i = 0;
  size_t j = 0;
  std::vector<Match> matches = Matcher(a, b).matches();
  matches.push_back({a.size(), b.size(), 0});
  for (const Match& m : matches) {
    if (i < m.i || j < m.j) out.push_back({false, i, m.i, j, m.j});
    if (m.size > 0) out.push_back({true, m.i, m.i + m.size, m.j, m.j + m.size});
    i = m.i + m.size;
    j = m.j + m.size;
  }
  return out;
}

// Steps whose changes are near each other, with what surrounds them.
std::vector<std::vector<Step>> hunks_of(std::vector<Step> steps) {
  if (steps.empty()) return {};
  if (Step& first = steps.front(); first.equal) {
    first.i1 = std::max(first.i1, first.i2 - std::min(first.i2, kContext));
    first.j1 = std::max(first.j1, first.j2 - std::min(first.j2, kContext));
  }
  if (Step& last = steps.back(); last.equal) {
    last.i2 = std::min(last.i2, last.i1 + kContext);
    last.j2 = std::min(last.j2, last.j1 + kContext);
  }
  std::vector<std::vector<Step>> hunks;
  std::vector<Step> hunk;
  for (Step step : steps) {
    if (step.equal && step.i2 - step.i1 > 2 * kContext) {
      hunk.push_back({true, step.i1, std::min(step.i2, step.i1 + kContext), step.j1,
                      std::min(step.j2, step.j1 + kContext)});
      hunks.push_back(std::move(hunk));
      hunk.clear();
      step.i1 = std::max(step.i1, step.i2 - kContext);
      step.j1 = std::max(step.j1, step.j2 - kContext);
    }
    hunk.push_back(step);
  }
  if (!hunk.empty() && !(hunk.size() == 1 && hunk[0].equal)) hunks.push_back(std::move(hunk));
  return hunks;
}

std::string range(size_t begin, size_t end) {
  size_t size = end - begin;
  if (size == 1) return std::to_string(begin + 1);
  return fmt::format("{},{}", size == 0 ? begin : begin + 1, size);
}

}  // namespace

std::string value_diff(const json::Value& before, const json::Value& after) {
  Lines a = lines_of(before);
  Lines b = lines_of(after);
  std::string out;
  auto put = [&](char mark, const Lines& lines, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) (out += mark).append(lines[i]).append("\n");
  };
  for (const std::vector<Step>& hunk : hunks_of(steps_of(a, b))) {
    const Step& first = hunk.front();
    const Step& last = hunk.back();
    out += fmt::format("@@ -{} +{} @@\n", range(first.i1, last.i2), range(first.j1, last.j2));
    for (const Step& step : hunk) {
      if (step.equal) {
        put(' ', a, step.i1, step.i2);
      } else {
        put('-', a, step.i1, step.i2);
        put('+', b, step.j1, step.j2);
      }
    }
  }
  return out;
}

}  // namespace knarr::api
