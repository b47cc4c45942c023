# Written by CMake into the installed package, beside the native libraries.
VERSION: str
TORCH_VERSION: str
TORCH_CUDA: str
CUDA_KERNELS: bool
CUDA_REASON: str
