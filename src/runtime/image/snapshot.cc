#include "runtime/image/snapshot.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/format.h"
#include "base/log.h"
#include "runtime/image/files.h"
#include "runtime/image/mount.h"

namespace knarr::runtime {

namespace {

constexpr int64_t kMaxPlanBytes = 1 << 20;
// The lower directory of an image without layers.
constexpr const char* kNoLayers = "empty";

json::Value array_of(const std::vector<std::string>& list) {
  json::Value out = json::Value::array();
  for (const std::string& text : list) out.push_back(text);
  return out;
}

std::vector<std::string> texts(const json::Value& value) {
  std::vector<std::string> out;
  for (const json::Value& element : value.elements()) out.push_back(element.text());
  return out;
}

bool is_component(const std::string& id) {
  return !id.empty() && id != "." && id != ".." && id.find('/') == std::string::npos;
}

// The directories of a snapshot, then its plan. Not synced: a power cut ends the container anyway,
// and a snapshot without a readable plan is swept away.
Result<void> make_snapshot(LayerStore& layers, const Image& image, const MountPlan& plan,
                           const std::string& directory) {
  TRY(remove_tree(directory));
  TRY(make_directories(directory));
  TRY(make_directories(plan.upper, 0755));
  for (size_t i = 0; i < image.config.volumes.size(); i++) {
    TRY(make_directories(plan.volume_folder(i), 0755));
  }
  if (chmod(plan.upper.c_str(), 0755) != 0) return errno_error(errno, "chmod " + plan.upper);
  if (plan.copied) {
    TRY(layers.flatten(image.layers, plan.upper));
  } else {
    for (size_t i = 0; i < image.layers.size(); ++i) TRY(layers.unpack(image.layers, i));
    TRY(make_directories(plan.work));
    if (image.layers.empty()) {
      TRY(make_directories(directory + "/" + kNoLayers, 0755));
    } else {
      TRY(copy_directory_attributes(layers.path(image.layers.back().chain_id), plan.upper));
    }
  }
  return write_file(directory + "/plan.json", json::write(plan.to_json()), false);
}

Result<MountPlan> read_plan(const std::string& path) {
  TRY_ASSIGN(std::string text, read_file(path, kMaxPlanBytes));
  TRY_ASSIGN(json::Value value, json::parse(text));
  return MountPlan::from_json(value);
}

}  // namespace

json::Value MountPlan::to_json() const {
  return json::Value::object({{"id", id},
                              {"image", image_id},
                              {"copied", copied},
                              {"layersDir", layers_dir},
                              {"lower", array_of(lower)},
                              {"chainIDs", array_of(chain_ids)},
                              {"upper", upper},
                              {"work", work}});
}

Result<MountPlan> MountPlan::from_json(const json::Value& value) {
  MountPlan plan;
  plan.id = value["id"].text();
  plan.image_id = value["image"].text();
  plan.copied = value["copied"].as_bool();
  plan.layers_dir = value["layersDir"].text();
  plan.lower = texts(value["lower"]);
  plan.chain_ids = texts(value["chainIDs"]);
  plan.upper = value["upper"].text();
  plan.work = value["work"].text();
  if (!is_component(plan.id) || plan.upper.empty() || (!plan.copied && plan.lower.empty())) {
    return make_error(Code::kInvalid, "not a snapshot's plan");
  }
  return plan;
}

std::string MountPlan::volume_folder(size_t n) const {
  return fmt::format("{}/volumes/{}", upper.substr(0, upper.rfind('/')), n);
}

Result<void> mount_snapshot(const MountPlan& plan, const std::string& target, bool read_only) {
  if (!plan.copied) {
    OverlayMount overlay{plan.layers_dir, plan.lower, plan.upper, plan.work, read_only};
    return mount_overlay(overlay, target);
  }
  if (mount(plan.upper.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return errno_error(errno, "bind " + plan.upper + " at " + target);
  }
  // A bind mount takes its flags only when it is mounted again.
  if (read_only &&
      mount(nullptr, target.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
    return errno_error(errno, "make read-only " + target);
  }
  return {};
}

SnapshotStore::SnapshotStore(ImageStore& images)
    : images_(images), root_(images.root() + "/snapshots") {}

SnapshotStore::~SnapshotStore() { *alive_ = false; }

void SnapshotStore::open(Callback<void> done) {
  using Plans = std::map<std::string, MountPlan>;
  auto read = [root = root_]() -> Result<Plans> {
    TRY(make_directories(root));
    Plans plans;
    for (const std::string& id : names_in(root)) {
      Result<MountPlan> plan = read_plan(root + "/" + id + "/plan.json");
      if (plan.ok() && plan->id == id) {
        plans.emplace(id, std::move(*plan));
        continue;
      }
      // Unfinished, or being removed when the machine stopped.
      Result<void> removed = remove_tree(root + "/" + id);
      if (!removed.ok()) {
        base::log(base::Level::kWarning, "images", "sweep snapshot={} error=\"{}\"", id,
                  removed.error().message);
      }
    }
    return plans;
  };
  images_.pool().run<Plans>(std::move(read), [this, alive = alive_,
                                              done = std::move(done)](Result<Plans> plans) {
    if (!*alive) return;
    if (!plans.ok()) return done(std::move(plans).error());
    plans_ = std::move(*plans);
    for (const auto& [id, plan] : plans_) images_.hold("snapshot/" + id, plan.chain_ids);
    // Now that all that holds layers is known: what a crash or a failed pull left may go.
    images_.collect([](Result<void> collected) {
      if (collected.ok()) return;
      base::log(base::Level::kWarning, "images", "collect error=\"{}\"", collected.error().message);
    });
    done({});
  });
}

void SnapshotStore::prepare(const std::string& id, const std::string& image_id,
                            Callback<MountPlan> done) {
  if (!is_component(id)) return done(make_error(Code::kInvalid, "invalid snapshot id: " + id));
  if (const MountPlan* plan = find(id)) {
    if (plan->image_id == image_id) return done(*plan);
    return done(make_error(Code::kAlreadyExists, "snapshot " + id + " is of another image"));
  }
  ImageRef image = images_.find(image_id);
  if (image == nullptr) {
    return done(make_error(Code::kNotFound, "image \"" + image_id + "\": not found"));
  }
  std::string directory = root_ + "/" + id;
  MountPlan plan;
  plan.id = id;
  plan.image_id = image->id;
  plan.copied = !images_.layers().overlay();
  plan.upper = directory + "/fs";
  if (!plan.copied) {
    plan.work = directory + "/work";
    plan.layers_dir = image->layers.empty() ? directory : images_.layers().directory();
    if (image->layers.empty()) plan.lower.push_back(kNoLayers);
    for (auto it = image->layers.rbegin(); it != image->layers.rend(); ++it) {
      plan.lower.push_back(LayerStore::name(it->chain_id));
      plan.chain_ids.push_back(it->chain_id);
    }
  }
  images_.hold("snapshot/" + id, plan.chain_ids);
  images_.pool().run<void>([&layers = images_.layers(), image, plan,
                            directory] { return make_snapshot(layers, *image, plan, directory); },
                           [this, alive = alive_, plan, done = std::move(done)](Result<void> made) {
                             if (!*alive) return;
                             if (!made.ok()) {
                               images_.release("snapshot/" + plan.id);
                               return done(std::move(made).error());
                             }
                             plans_[plan.id] = plan;
                             done(plan);
                           });
}

void SnapshotStore::remove(const std::string& id, Callback<void> done) {
  if (!is_component(id)) return done(make_error(Code::kInvalid, "invalid snapshot id: " + id));
  plans_.erase(id);
  // The plan first: without it the rest is swept away after a crash.
  auto work = [directory = root_ + "/" + id]() -> Result<void> {
    TRY(remove_tree(directory + "/plan.json"));
    return remove_tree(directory);
  };
  images_.pool().run<void>(std::move(work),
                           [this, alive = alive_, id, done = std::move(done)](Result<void> r) {
                             if (!*alive) return;
                             if (r.ok()) images_.release("snapshot/" + id);
                             done(std::move(r));
                           });
}

const MountPlan* SnapshotStore::find(const std::string& id) const {
  auto it = plans_.find(id);
  return it == plans_.end() ? nullptr : &it->second;
}

std::vector<std::string> SnapshotStore::list() const {
  std::vector<std::string> ids;
  for (const auto& [id, plan] : plans_) ids.push_back(id);
  return ids;
}

void SnapshotStore::usage(const std::string& id, Callback<SnapshotUsage> done) {
  const MountPlan* plan = find(id);
  if (plan == nullptr) return done(make_error(Code::kNotFound, "snapshot " + id + ": not found"));
  images_.pool().run<SnapshotUsage>(
      [upper = plan->upper]() -> Result<SnapshotUsage> {
        SnapshotUsage usage;
        add_tree_usage(upper, usage.used_bytes, usage.inodes_used);
        return usage;
      },
      std::move(done));
}

}  // namespace knarr::runtime
