// Text in columns as Go's text/tabwriter sets it, which kubectl's output is made with: a cell ends
// at a tab; neighbouring lines that both have a cell in a column share that column's width; the
// last cell of a line is not padded. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knarr::kubectl {

class TabWriter {
 public:
  // min_width counts the padding. remember: a column is never narrower than in an earlier flush.
  TabWriter(int min_width, int padding, bool remember = false)
      : min_width_(min_width), padding_(padding), remember_(remember) {}

  void write(std::string_view text);
  // What was written since the last flush, in columns.
  std::string flush();

 private:
  using Line = std::vector<std::string>;
  void format(std::string& out, size_t begin, size_t end);
  void put_lines(std::string& out, size_t begin, size_t end) const;

  int min_width_;
  int padding_;
  bool remember_;
  std::string text_;
  std::vector<Line> lines_;
  std::vector<int> widths_;      // of the columns to the left of the one being set
  std::vector<int> remembered_;  // by column
};

// The text set in columns the way kubectl's describe and history do: padding 2.
std::string set_in_columns(std::string_view text);

// How many columns of a terminal the text takes: code points.
int text_width(std::string_view text);

}  // namespace knarr::kubectl
