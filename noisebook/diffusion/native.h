// What native.cpp and native_bf16.cpp share.
#pragma once
#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace {

// An image in tiles of 4x4 outputs, and these in blocks.
struct Tiles {
    int64_t height, width, rows, columns, count;
    int per_block;

    Tiles(int64_t batch, int64_t height, int64_t width, int per_block)
        : height(height), width(width), rows((height + 3) / 4), columns((width + 3) / 4), per_block(per_block) {
        count = batch * rows * columns;
    }
    int64_t blocks() const { return (count + per_block - 1) / per_block; }
    int in_block(int64_t block) const { return (int)std::min<int64_t>(per_block, count - block * per_block); }
};

// The top left output of a tile.
struct Corner {
    int64_t image, y, x;

    Corner(const Tiles& tiles, int64_t tile)
        : image(tile / (tiles.rows * tiles.columns)),
          y(tile / tiles.columns % tiles.rows * 4),
          x(tile % tiles.columns * 4) {}
};

// A thread's scratch memory, kept from call to call. Huge pages spare it most of its address translations.
class Scratch {
  public:
    template <typename T>
    T* of_size(int64_t count) {
        const size_t page = size_t(2) << 20;
        const size_t bytes = (count * sizeof(T) + page - 1) / page * page;
        if (bytes > size_) {
            free(data_);
            size_ = 0;
            data_ = aligned_alloc(page, bytes);
            if (!data_) throw std::bad_alloc();
#ifdef __linux__
            madvise(data_, bytes, MADV_HUGEPAGE);
#endif
            memset(data_, 0, bytes);
            size_ = bytes;
        }
        return (T*)data_;
    }
    ~Scratch() { free(data_); }

  private:
    void* data_ = nullptr;
    size_t size_ = 0;
};
thread_local Scratch scratch_a, scratch_b, scratch_c;  // what is only read is zero

// Adds two values of every pixel and channel over pixels: float over a run of pixels, then double over runs. `add`
// takes the pixel's offset, the channel, and the vectors to add to; sums is [threads][2][channels]. `at_once` pixels
// are added in registers, before the next channels are: memory is read in order if that is 1.
const int64_t kRun = 128;

template <typename Vector, int at_once, typename Add>
void sum_pixels(int64_t pixels, int64_t channels, double* sums, int threads, Add add) {
    const int lanes = sizeof(Vector) / sizeof(float);
#pragma omp parallel num_threads(threads)
    {
        double* mine = sums + omp_get_thread_num() * 2 * channels;
        std::vector<float> run(2 * channels);
#pragma omp for schedule(static)
        for (int64_t start = 0; start < pixels; start += kRun) {
            const int64_t stop = std::min(pixels, start + kRun);
            std::fill(run.begin(), run.end(), 0.f);
            for (int64_t some = start; some < stop; some += at_once)
                for (int64_t c = 0; c < channels; c += lanes) {
                    Vector first, second;
                    memcpy(&first, &run[c], sizeof first);
                    memcpy(&second, &run[channels + c], sizeof second);
                    for (int64_t pixel = some; pixel < std::min(stop, some + at_once); pixel++)
                        add(pixel * channels + c, c, first, second);
                    memcpy(&run[c], &first, sizeof first);
                    memcpy(&run[channels + c], &second, sizeof second);
                }
            for (int64_t c = 0; c < 2 * channels; c++) mine[c] += run[c];
        }
    }
}

}  // namespace
