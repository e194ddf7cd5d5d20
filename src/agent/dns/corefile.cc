#include "agent/dns/corefile.h"

#include "base/format.h"

namespace knarr::agent {

namespace {

struct Line {
  int number;
  std::vector<std::string> words;
};

Error bad(int line, std::string_view what) {
  return make_error(Code::kInvalid, fmt::format("line {}: {}", line, what));
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// Words are apart by spaces, but for what is quoted; '#' begins a comment where a word could.
Result<std::vector<Line>> split_lines(std::string_view text) {
  std::vector<Line> lines;
  for (int number = 1; !text.empty(); number++) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    Line line{number, {}};
    while (true) {
      while (!rest.empty() && is_space(rest[0])) rest.remove_prefix(1);
      if (rest.empty() || rest[0] == '#') break;
      size_t size = 0;
      if (rest[0] == '"') {
        size = rest.find('"', 1);
        if (size == std::string_view::npos) return bad(number, "a quote is not closed");
        line.words.emplace_back(rest.substr(1, size - 1));
        rest.remove_prefix(size + 1);
        continue;
      }
      while (size < rest.size() && !is_space(rest[size])) size++;
      line.words.emplace_back(rest.substr(0, size));
      rest.remove_prefix(size);
    }
    if (!line.words.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

class Parser {
 public:
  explicit Parser(std::vector<Line> lines) : lines_(std::move(lines)) {}

  bool done() const { return at_ == lines_.size(); }

  Result<CorefileServer> server() {
    const Line& head = lines_[at_++];
    CorefileServer out{head.number, head.words, {}};
    if (out.zones.back() != "{" || out.zones.size() < 2) {
      return bad(head.number, "not the head of a server block: zones and \"{\"");
    }
    out.zones.pop_back();
    while (!done() && !is_end(lines_[at_])) {
      TRY_ASSIGN(CorefileLine line, directive());
      out.directives.push_back(std::move(line));
    }
    if (done()) return bad(head.number, "a block is not closed");
    at_++;
    return out;
  }

  Result<CorefileLine> directive() {
    const Line& head = lines_[at_++];
    CorefileLine out{head.number, head.words, {}};
    if (is_end(head)) return bad(head.number, "a \"}\" that closes nothing");
    if (out.words.back() != "{") return out;
    out.words.pop_back();
    if (out.words.empty()) return bad(head.number, "a block of nothing");
    while (!done() && !is_end(lines_[at_])) {
      if (lines_[at_].words.back() == "{") return bad(lines_[at_].number, "a block too deep");
      out.block.push_back(lines_[at_++].words);
    }
    if (done()) return bad(head.number, "a block is not closed");
    at_++;
    return out;
  }

 private:
  static bool is_end(const Line& line) { return line.words.size() == 1 && line.words[0] == "}"; }

  std::vector<Line> lines_;
  size_t at_ = 0;
};

}  // namespace

Result<std::vector<CorefileServer>> parse_corefile(std::string_view text) {
  TRY_ASSIGN(std::vector<Line> lines, split_lines(text));
  Parser parser(std::move(lines));
  std::vector<CorefileServer> out;
  while (!parser.done()) {
    TRY_ASSIGN(CorefileServer server, parser.server());
    out.push_back(std::move(server));
  }
  return out;
}

Result<std::vector<CorefileLine>> parse_directives(std::string_view text) {
  TRY_ASSIGN(std::vector<Line> lines, split_lines(text));
  Parser parser(std::move(lines));
  std::vector<CorefileLine> out;
  while (!parser.done()) {
    TRY_ASSIGN(CorefileLine line, parser.directive());
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace knarr::agent
