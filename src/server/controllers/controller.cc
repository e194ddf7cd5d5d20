#include "server/controllers/controller.h"

#include <map>
#include <utility>

#include "base/log.h"

namespace knarr::server {

namespace {
constexpr size_t kPrunePasses = 128;
}

Pass::Pass(client::Client& client, WorkQueue& queue, NamespacedName key, std::weak_ptr<void> alive)
    : client_(client), queue_(queue), key_(std::move(key)), alive_(std::move(alive)) {}

void Pass::write(client::Request request, client::Reply then) {
  ++holds_;
  std::string what = request.target.resource + " " + request.target.ns + "/" + request.target.name;
  client_.call(std::move(request), [self = shared_from_this(), then = std::move(then),
                                    what = std::move(what)](Result<ObjectRef> answer) {
    if (self->alive_.expired()) return;
    if (then) {
      then(std::move(answer));
    } else if (!answer.ok()) {
      base::log(base::Level::kDebug, "controllers", "write {}: {}", what, answer.error().message);
      self->fail(answer.error());
    }
    --self->holds_;
    self->settle();
  });
}

void Pass::remove(client::Request request, client::Reply then) {
  write(std::move(request), [self = this, then = std::move(then)](Result<ObjectRef> answer) {
    if (then) return then(std::move(answer));
    if (answer.ok() || answer.error().code == Code::kNotFound ||
        answer.error().code == Code::kConflict) {
      return;
    }
    self->fail(answer.error());
  });
}

std::shared_ptr<void> Pass::hold() {
  ++holds_;
  return {nullptr, [self = shared_from_this()](void*) {
            if (self->alive_.expired()) return;
            --self->holds_;
            self->settle();
          }};
}

void Pass::join(std::function<void()> fn) { joins_.push_back(std::move(fn)); }

void Pass::fail(const Error&) { failed_ = true; }

void Pass::again_after_ms(int64_t delay_ms) {
  if (again_ms_ < 0 || delay_ms < again_ms_) again_ms_ = std::max<int64_t>(0, delay_ms);
}

void Pass::settle() {
  while (holds_ == 0 && !joins_.empty()) {
    auto fn = std::move(joins_.front());
    joins_.pop_front();
    ++holds_;
    fn();
    --holds_;
  }
  if (holds_ != 0) return;
  holds_ = -1;  // over: nothing can hold it again
  if (failed_) {
    queue_.add_rate_limited(key_);
  } else {
    queue_.forget(key_);
  }
  if (again_ms_ >= 0) queue_.add_after(key_, std::max<int64_t>(again_ms_, 1));
  queue_.done(key_);
}

Controller::Controller(const ControllerContext& context, std::string component, size_t concurrency)
    : context_(context),
      component_(std::move(component)),
      alive_(std::make_shared<int>(0)),
      recorder_(context.client, context.clock, component_),
      queue_(context.clock, concurrency, [this](const NamespacedName& key) { process(key); }) {}

Controller::~Controller() {
  for (const auto& weak : passes_) {
    if (PassRef pass = weak.lock()) pass->joins_.clear();
  }
}

void Controller::process(const NamespacedName& key) {
  auto pass = std::make_shared<Pass>(context_.client, queue_, key, alive_);
  if (passes_.size() >= kPrunePasses) {
    std::erase_if(passes_, [](const auto& weak) { return weak.expired(); });
  }
  passes_.push_back(pass);
  reconcile(key, pass);
  --pass->holds_;
  pass->settle();
}

void Controller::enqueue_controller(const ObjectRef& object, const char* kind) {
  if (object == nullptr) return;
  const OwnerRef* owner = object->controller();
  if (owner != nullptr && owner->kind == kind) enqueue({object->name.ns, owner->name});
}

class ControllerHost::Subscription final : public WatchSink {
 public:
  Subscription(Cache& cache, GroupResource resource, std::vector<Controller*> listeners)
      : cache_(cache), resource_(std::move(resource)), listeners_(std::move(listeners)) {}

  void start() {
    WatchOptions options;
    options.initial_state = true;
    auto watch = cache_.watch(resource_, std::move(options), *this);
    if (!watch.ok()) return;  // the server does not offer it
    watch_ = std::move(watch).value();
    watch_->start();
  }

  void on_event(const WatchEvent& event) override {
    ObjectRef object = event.change->object();
    ObjectRef previous = event.initial ? nullptr : event.change->previous();
    for (Controller* c : listeners_) c->on_change(resource_, previous, object);
  }
  void on_bookmark(kv::Revision, bool) override {}
  void on_error(const Error& error) override {
    base::log(base::Level::kDebug, "controllers", "watch {}: {}", resource_.resource,
              error.message);
  }

 private:
  Cache& cache_;
  GroupResource resource_;
  std::vector<Controller*> listeners_;
  std::unique_ptr<Watch> watch_;
};

ControllerHost::ControllerHost(const ControllerContext& context) : context_(context) {}
ControllerHost::~ControllerHost() = default;

void ControllerHost::add(std::unique_ptr<Controller> controller) {
  controllers_.push_back(std::move(controller));
}

void ControllerHost::start() {
  std::map<GroupResource, std::vector<Controller*>> wanted;
  for (const auto& c : controllers_) {
    for (const GroupResource& r : c->watches()) wanted[r].push_back(c.get());
  }
  for (const auto& [resource, listeners] : wanted) watch_resource(resource, listeners);
  for (const auto& c : controllers_) c->on_started();
}

void ControllerHost::watch_resource(const GroupResource& resource,
                                    const std::vector<Controller*>& listeners) {
  subscriptions_.push_back(std::make_unique<Subscription>(context_.cache, resource, listeners));
  subscriptions_.back()->start();
}

bool ControllerHost::idle() const {
  for (const auto& c : controllers_) {
    if (!c->queue().idle()) return false;
  }
  return true;
}

}  // namespace knarr::server
