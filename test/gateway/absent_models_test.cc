#include "gateway/absent_models.h"

#include <gtest/gtest.h>

namespace perigee::gateway {
namespace {

using Names = std::vector<std::string>;

TEST(AbsentModels, AreThoseThatAreNotListed) {
  const router::ModelList listed{{"phi", {}}, {"lora", {}}};
  EXPECT_EQ(absent_models(listed, {"llama", "phi"}), Names{"llama"});
  EXPECT_EQ(absent_models(listed, {"phi"}), Names{});
  EXPECT_EQ(absent_models({}, {"phi"}), Names{"phi"});
}

TEST(AbsentModels, ExpectedIsWhatRequestsMayBeSentFor) {
  Policy policy;
  policy.endpoints.resize(2);
  Policy::RoutedService service;
  Policy::Model model;
  model.name = "a";
  model.pool.served_name = "engine/a";
  model.pool.endpoints = {0, 1};
  Policy::Model::Canary canary;
  canary.pool.served_name = "engine/a2";
  canary.pool.endpoints = {1};
  model.canary = canary;
  service.models = {model, model};
  policy.routed = {service};
  EXPECT_EQ(expected_models(policy, 0), Names{"engine/a"});
  EXPECT_EQ(expected_models(policy, 1), (Names{"engine/a", "engine/a2"}));
}

}  // namespace
}  // namespace perigee::gateway
