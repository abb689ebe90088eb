#include "gateway/model_list.h"

#include <gtest/gtest.h>

namespace perigee::gateway {
namespace {

using Names = std::vector<std::string>;

TEST(ModelListTest, WhatIsNotListedIsAbsent) {
  const std::string body = R"({"object":"list","data":[{"id":"phi","root":"/m/llama"},{"id":"lora"}]})";
  EXPECT_EQ(absent_models(body, {"llama", "phi"}), Names{"llama"});
  EXPECT_EQ(absent_models(body, {"phi"}), Names{});
  EXPECT_EQ(absent_models(R"({"data":[]})", {"phi"}), Names{"phi"});
}

TEST(ModelListTest, WhatIsNoListSaysNothing) {
  for (const char* body : {"", "{}", "[]", R"({"data":{}})", R"({"data":[{}]})", R"({"data":[{"id":1}]})",
                           R"({"data":["phi"]})", R"({"data":[{"id":"phi"}])"})
    EXPECT_EQ(absent_models(body, {"phi"}), std::nullopt) << body;
  std::string many = R"({"data":[{"id":"phi"})";
  for (std::size_t i = 0; i < kMaxListedModels; ++i) many += R"(,{"id":"x"})";
  EXPECT_EQ(absent_models(many + "]}", {"phi"}), std::nullopt);
}

TEST(ModelListTest, ExpectedIsWhatRequestsMayBeSentFor) {
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
