// "PATH --at WHEN", common to the verbs that look at the past.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace varve {

struct AtOptions {
  std::string path;
  std::string when;

  void AddTo(CLI::App& app) {
    app.add_option("PATH", path, "a path in a mounted volume; it need not exist today")->required();
    app.add_option("--at", when, "the moment: a time, an age (2h-ago), a snapshot, @NUMBER")
        ->required();
  }
};

}  // namespace varve
