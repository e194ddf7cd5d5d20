#include "agent/volumes/local_root.h"

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"

namespace knarr::agent {

namespace {

// Its directories are everybody's; who else is on the machine need not see their names.
constexpr mode_t kRootMode = 0701;

std::string marker_path(const std::string& root) { return root + "/" + kLocalRootMarker; }

// {"/folder": "id"}. An unreadable note must not pass for an empty one.
Result<json::Value> read_note(const std::string& path) {
  if (!base::file_exists(path)) return json::Value::object();
  TRY_ASSIGN(std::string text, base::read_file(path));
  auto note = json::parse(text);
  if (note.ok() && note->is_object()) return note;
  return make_error(Code::kInternalError, path + " is not what was written there");
}

Result<std::string> read_marker(const std::string& root) {
  TRY_ASSIGN(std::string id, base::read_file(marker_path(root)));
  while (!id.empty() && (id.back() == '\n' || id.back() == ' ')) id.pop_back();
  return id;
}

// What is written first must make the next start come here again.
Result<void> mark(json::Value note, const std::string& note_path, const std::string& root,
                  const std::string& id, bool note_first) {
  note.set(root, id);
  auto write_note = [&] { return base::write_file(note_path, json::write(note), 0600); };
  if (note_first) TRY(write_note());
  TRY(base::write_file(marker_path(root), id + "\n", 0600));
  return note_first ? Result<void>() : write_note();
}

Error not_what_it_was(const std::string& root) {
  return make_error(
      Code::kConflict,
      fmt::format("{0} is not the folder that volumes were made in: no file {1} of this node is "
                  "there. Is its disk mounted? (To use what is there: touch {0}/{1} and start "
                  "knarr again)",
                  root, kLocalRootMarker));
}

}  // namespace

Result<void> use_local_root(const std::string& note_path, const std::string& root, Random& random) {
  TRY_ASSIGN(json::Value note, read_note(note_path));
  std::string known = note[root].text();
  if (known.empty()) TRY(base::make_dirs(root, kRootMode));
  auto there = read_marker(root);
  if (!there.ok() && base::file_exists(marker_path(root))) return there.error();
  bool wanted = there.ok() && there->empty();  // by somebody who made an empty marker
  if (wanted || (!there.ok() && known.empty())) {
    return mark(std::move(note), note_path, root, random.uuid(), wanted);
  }
  if (there.ok() && known == *there) return {};
  if (!known.empty()) return not_what_it_was(root);
  return mark(std::move(note), note_path, root, *there, false);  // a node that lost its notes
}

Result<void> check_local_root(const std::string& note_path, const std::string& root) {
  TRY_ASSIGN(json::Value note, read_note(note_path));
  std::string known = note[root].text();
  if (known.empty()) return {};
  auto there = read_marker(root);
  if (there.ok() && *there == known) return {};
  return not_what_it_was(root);
}

}  // namespace knarr::agent
