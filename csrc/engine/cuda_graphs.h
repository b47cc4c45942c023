// Work on a GPU that is started whole: a network's forward pass is a hundred kernels, and starting
// each by itself takes a thread longer than a GPU needs for all of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace keisei::engine {

// The graphs of one stream that is not the default one, each for one shape of the work.
class CudaGraphs {
 public:
    CudaGraphs();
    ~CudaGraphs();
    CudaGraphs(const CudaGraphs&) = delete;
    CudaGraphs& operator=(const CudaGraphs&) = delete;

    // Whether keisei was built with CUDA. Without it there is never a graph.
    static bool built();
    // Whether a recording may be tried: built with CUDA, and none has failed yet.
    static bool possible();

    bool has(int64_t shape) const;
    // Calls `work`, which was called on the current stream before, so that nothing is set up any
    // more. What it starts is recorded and not done. It never waits for the device; what it keeps
    // of the memory that it takes, replays write to, and the rest belongs to all graphs of this
    // stream. Nobody else uses the stream meanwhile. Throws what stands in the way; there is no
    // graph then, and none will be recorded any more in this process.
    void record(int64_t shape, const std::function<void()>& work);
    // Starts what was recorded, on the current stream.
    void replay(int64_t shape);

 private:
    struct Graphs;
    std::unique_ptr<Graphs> graphs_;
};

}  // namespace keisei::engine
