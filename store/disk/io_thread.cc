#include "store/disk/io_thread.h"

#include <pthread.h>

#include <utility>

namespace varve {
namespace {

thread_local const void* current_owner = nullptr;

}  // namespace

IoThread::IoThread(const std::string& name, const void* owner)
    : thread_([this, name, owner] { Run(name, owner); }) {}

IoThread::~IoThread() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  not_empty_.notify_all();
  thread_.join();
}

void IoThread::Submit(std::function<void()> task) {
  {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [this] { return queue_.size() < kMaxQueued; });
    queue_.push_back(std::move(task));
  }
  not_empty_.notify_one();
}

const void* IoThread::CurrentOwner() { return current_owner; }

void IoThread::Run(const std::string& name, const void* owner) {
  current_owner = owner;
  // Only for ps and debuggers: a failure to name a thread changes nothing.
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      not_empty_.wait(lock, [this] { return !queue_.empty() || ending_; });
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    not_full_.notify_one();
    task();
  }
}

}  // namespace varve
