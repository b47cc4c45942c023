// What stands between the convolutions of keisei's residual network as one operation each: as the
// network is written, each is a chain of small ones, which all read and write the activations.
#pragma once

#include <memory>

namespace torch::jit {
struct Graph;
}

namespace keisei::engine {

// Replaces the chains that it knows in a network's graph, which has not been run yet; constants
// stand in the graph itself. Returns how many there are now. An operation says what its chain said,
// and is that chain where shapes or types are not those of keisei's networks.
int fuse_layers(std::shared_ptr<torch::jit::Graph>& graph);

}  // namespace keisei::engine
