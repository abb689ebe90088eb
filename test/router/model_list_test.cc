#include "router/model_list.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <vector>

namespace perigee::router {
namespace {

TEST(ModelList, ClientsSeeThePolicysModelsAndNoMoreOfAnEndpointThanItsDetails) {
  const auto list = read_model_list(
      R"({"object":"list","data":[{"id":"meta/llama","object":"model","created":17,"owned_by":"vllm","root":"/data/secret",)"
      R"("max_model_len":8192,"permission":[]},{"id":"undeclared"},{"id":"meta/llama","created":99}]})");
  ASSERT_TRUE(list);
  const std::vector<PublicModel> models = {{"llama", &list->at("meta/llama")}, {"new", nullptr}};
  const std::string body = models_body(models);
  EXPECT_EQ(body,
            R"({"object":"list","data":[{"id":"llama","object":"model","created":17,"owned_by":"vllm",)"
            R"("max_model_len":8192},{"id":"new","object":"model","created":0,"owned_by":"perigee"}]})");
  EXPECT_EQ(models_body({}), R"({"object":"list","data":[]})");
  EXPECT_EQ(boost::json::parse(model_body(models[0])), boost::json::parse(body).at("data").at(0));
}

TEST(ModelList, WhatIsNoListTellsNothing) {
  for (const char* body :
       {"", "not JSON", "{}", "[]", R"({"data":{}})", R"({"data":[{}]})", R"({"data":[{"ID":"m"}]})",
        R"({"data":[{"id":1}]})", R"({"data":["phi"]})", R"({"data":[{"id":"phi"}])"})
    EXPECT_FALSE(read_model_list(body)) << body;
  EXPECT_EQ(read_model_list(R"({"data":[]})").value().size(), 0U) << "it has none";
  std::string many = R"({"data":[{"id":"phi"})";
  for (std::size_t i = 1; i < kMaxListedModels; ++i) many += R"(,{"id":"x"})";
  EXPECT_TRUE(read_model_list(many + "]}"));
  EXPECT_FALSE(read_model_list(many + R"(,{"id":"x"}]})"));
}

}  // namespace
}  // namespace perigee::router
