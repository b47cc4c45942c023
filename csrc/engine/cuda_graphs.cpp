#include "engine/cuda_graphs.h"

#include <stdexcept>

#ifdef KEISEI_HAVE_CUDA
#include <ATen/cuda/CUDAGraph.h>

#include <atomic>
#include <map>
#include <mutex>
#include <utility>
#endif

namespace keisei::engine {

#ifdef KEISEI_HAVE_CUDA

namespace {

std::atomic<bool> any_failed{false};

}  // namespace

struct CudaGraphs::Graphs {
    // No two of them run at once, so they share their memory.
    at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
    std::map<int64_t, std::unique_ptr<at::cuda::CUDAGraph>> by_shape;
};

bool CudaGraphs::possible() {
    return !any_failed;
}

bool CudaGraphs::built() {
    return true;
}

bool CudaGraphs::has(int64_t shape) const {
    return graphs_->by_shape.contains(shape);
}

void CudaGraphs::record(int64_t shape, const std::function<void()>& work) {
    // torch's allocator and generator know of one recording at a time.
    static std::mutex recording;
    const std::lock_guard lock(recording);
    if (any_failed) throw std::runtime_error("CUDA graphs: an earlier recording failed");
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    bool ended = false;
    try {
        // Other threads go on with what they do on the device.
        graph->capture_begin(graphs_->pool, cudaStreamCaptureModeThreadLocal);
        work();
        ended = true;
        graph->capture_end();
    } catch (...) {
        any_failed = true;
        // A stream that records does nothing else.
        if (!ended) {
            try {
                graph->capture_end();
            } catch (const std::exception&) {
                // It says again what was thrown already.
            }
        }
        // torch up to 2.12 leaves its allocator asking this graph whose memory is whose.
        (void)graph.release();
        throw;
    }
    graphs_->by_shape[shape] = std::move(graph);
}

void CudaGraphs::replay(int64_t shape) {
    graphs_->by_shape.at(shape)->replay();
}

#else

struct CudaGraphs::Graphs {};

bool CudaGraphs::built() {
    return false;
}

bool CudaGraphs::possible() {
    return false;
}

bool CudaGraphs::has(int64_t) const {
    return false;
}

void CudaGraphs::record(int64_t, const std::function<void()>&) {
    throw std::logic_error("CUDA graphs: keisei was built without CUDA");
}

void CudaGraphs::replay(int64_t) {
    throw std::logic_error("CUDA graphs: keisei was built without CUDA");
}

#endif

CudaGraphs::CudaGraphs() : graphs_(std::make_unique<Graphs>()) {}
CudaGraphs::~CudaGraphs() = default;

}  // namespace keisei::engine
