// What native.cpp and native_bf16.cpp share.
#pragma once
#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
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

// The scale and shift of each channel that normalize an image [pixels][channels] over its groups of channels, times
// weight, plus bias, [channels]; and then times 1 + modulation[0][channels], plus modulation[1][channels], unless that
// is null. `read` takes a pixel's offset and channel.
template <typename Vector, int at_once, typename Read>
void find_group_scale(Read read, int64_t pixels, int64_t channels, int64_t groups, const float* weight,
                      const float* bias, const float* modulation, float epsilon, float* scale, float* shift) {
    const int64_t lanes = sizeof(Vector) / sizeof(float), wide = channels / groups;
    // About the first pixel, so that little is lost where a channel is far from 0.
    std::vector<float> first_pixel(channels);
    for (int64_t c = 0; c < channels; c += lanes) {
        const Vector value = read(c);
        memcpy(&first_pixel[c], &value, sizeof value);
    }
    std::vector<double> sums(2 * channels);
    sum_pixels<Vector, at_once>(pixels, channels, sums.data(), 1,
                                [&](int64_t i, int64_t c, Vector& first, Vector& second) {
                                    Vector about;
                                    memcpy(&about, &first_pixel[c], sizeof about);
                                    const Vector difference = read(i) - about;
                                    first += difference;
                                    second += difference * difference;
                                });
    for (int64_t first = 0; first < channels; first += wide) {
        double mean = 0, square = 0;
        for (int64_t c = first; c < first + wide; c++) mean += first_pixel[c] + sums[c] / pixels;
        mean /= wide;
        for (int64_t c = first; c < first + wide; c++) {
            const double about = first_pixel[c] - mean, sum = sums[c] / pixels;
            square += sums[channels + c] / pixels + about * (about + 2 * sum);
        }
        const double inverse = 1 / std::sqrt(std::max(square / wide, 0.) + epsilon);
        for (int64_t c = first; c < first + wide; c++) {
            const double slope = weight[c] * inverse, offset = bias[c] - mean * slope;
            const float* more = modulation ? modulation + c : nullptr;
            scale[c] = (float)(more ? slope * (1 + more[0]) : slope);
            shift[c] = (float)(more ? offset * (1 + more[0]) + more[channels] : offset);
        }
    }
}

// GroupNorm of images [pixels][channels], each by one thread: `write` takes a pixel's offset and what find_group_scale
// makes of it; modulation is [images][2][channels], or null.
template <typename Vector, int at_once, typename Read, typename Write>
void normalize_groups(Read read, Write write, const float* weight, const float* bias, const float* modulation,
                      float epsilon, int64_t images, int64_t pixels, int64_t channels, int64_t groups, int threads) {
    const int64_t lanes = sizeof(Vector) / sizeof(float);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t image = 0; image < images; image++) {
        const int64_t first = image * pixels * channels;
        std::vector<float> scale(channels), shift(channels);
        find_group_scale<Vector, at_once>([=](int64_t i) { return read(first + i); }, pixels, channels, groups, weight,
                                          bias, modulation ? modulation + image * 2 * channels : nullptr, epsilon,
                                          scale.data(), shift.data());
        for (int64_t pixel = 0; pixel < pixels; pixel++)
            for (int64_t c = 0; c < channels; c += lanes) {
                const int64_t i = first + pixel * channels + c;
                Vector slope, offset;
                memcpy(&slope, &scale[c], sizeof slope);
                memcpy(&offset, &shift[c], sizeof offset);
                write(i, read(i) * slope + offset);
            }
    }
}

}  // namespace
