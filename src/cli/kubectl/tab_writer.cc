#include "cli/kubectl/tab_writer.h"

#include <algorithm>

namespace knarr::kubectl {

int text_width(std::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void TabWriter::write(std::string_view text) { text_ += text; }

void TabWriter::put_lines(std::string& out, size_t begin, size_t end) const {
  for (size_t i = begin; i < end; i++) {
    const Line& line = lines_[i];
    for (size_t j = 0; j < line.size(); j++) {
      out += line[j];
      if (j >= widths_.size()) continue;
      int missing = widths_[j] - text_width(line[j]);
      if (missing > 0) out.append(static_cast<size_t>(missing), ' ');
    }
    if (i + 1 < lines_.size()) out += '\n';
  }
}

// Sets lines [begin, end), whose first widths_.size() columns are known.
void TabWriter::format(std::string& out, size_t begin, size_t end) {
  size_t column = widths_.size();
  auto has_cell = [&](size_t line) { return column + 1 < lines_[line].size(); };
  for (size_t at = begin; at < end; at++) {
    if (!has_cell(at)) continue;
    put_lines(out, begin, at);
    begin = at;
    int width = min_width_;
    if (remember_ && column < remembered_.size()) width = std::max(width, remembered_[column]);
    for (; at < end && has_cell(at); at++) {
      width = std::max(width, text_width(lines_[at][column]) + padding_);
    }
    if (remember_) {
      if (remembered_.size() <= column) remembered_.resize(column + 1, 0);
      remembered_[column] = width;
    }
    widths_.push_back(width);
    format(out, begin, at);
    widths_.pop_back();
    begin = at;
    at--;
  }
  put_lines(out, begin, end);
}

std::string TabWriter::flush() {
  lines_.assign(1, Line(1));
  for (char c : text_) {
    if (c == '\n') {
      lines_.emplace_back(1);
    } else if (c == '\t') {
      lines_.back().emplace_back();
    } else {
      lines_.back().back() += c;
    }
  }
  text_.clear();
  std::string out;
  format(out, 0, lines_.size());
  return out;
}

std::string set_in_columns(std::string_view text) {
  TabWriter writer(0, 2);
  writer.write(text);
  return writer.flush();
}

}  // namespace knarr::kubectl
