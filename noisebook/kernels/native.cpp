// Kernels for x86 processors with AVX2 and FMA, in single precision, called by native.py through ctypes.
//
// - Convolution 3x3, stride 1, padding 1, by Winograd's minimal filtering F(4x4, 3x3): Lavin & Gray (2015), "Fast
//   algorithms for convolutional neural networks". A tile of 4x4 outputs costs 36 multiplications per pair of
//   channels in place of 144.
// - BatchNorm in training mode and GELU in one pass each way, where PyTorch makes several.
// - GroupNorm, what a network adds to it for its timestep, and GELU, in one pass, for inference.
//
// Images are dense NHWC, and every number of channels is a multiple of 16.
//
// The same input gives the same bits with the same number of threads: each output is computed by one thread, and
// sums over the batch are kept per thread, over a share of the batch that depends on nothing but the number of
// threads. The caller adds the threads' sums in their order.
#include "native.h"

namespace {

typedef float Number;
typedef float Vector __attribute__((vector_size(32)));
const int kLanes = 8;
const int kAtOnce = 1;

inline Vector load(const float* p) { return (Vector)_mm256_loadu_ps(p); }
inline void store(float* p, Vector v) { _mm256_storeu_ps(p, (__m256)v); }

// ------------------------------------------------------------------------------------------------- Winograd

const int kTiles = 48;        // in a block: its transforms stay in the second-level cache; a multiple of 6
const int kFrequencies = 36;  // of a transformed tile, 6x6
// Frequency (1, 1), where both polynomials are evaluated at 1: there a tile's transform is its sum.
const int kSum = 7;

// A transformed block is [frequency][channel / 8][tile][channel % 8]. The 16 floats between frequencies keep them
// from falling on the same cache set.
inline int64_t frequency_stride(int64_t channels) { return kTiles * channels + 16; }
inline int64_t block_size(int64_t channels) { return kFrequencies * frequency_stride(channels); }

const float kA = 1, kB = 2;  // the points ±kA and ±kB
#include "winograd.h"

// Reads a tile of size x size pixels from (y, x) on, 8 channels; zero outside of the image.
template <int size>
inline void read_tile(const float* images, int64_t channels, const Tiles& tiles, int64_t image, int64_t y, int64_t x,
                      Vector* out) {
    const int64_t row = tiles.width * channels;
    const float* p = images + image * tiles.height * row + y * row + x * channels;
    if (y >= 0 && x >= 0 && y + size <= tiles.height && x + size <= tiles.width) {
        for (int r = 0; r < size; r++)
            for (int c = 0; c < size; c++) out[r * size + c] = load(p + r * row + c * channels);
        return;
    }
    for (int r = 0; r < size; r++)
        for (int c = 0; c < size; c++) {
            const bool inside = y + r >= 0 && y + r < tiles.height && x + c >= 0 && x + c < tiles.width;
            out[r * size + c] = inside ? load(p + r * row + c * channels) : Vector{};
        }
}

// Transforms `count` tiles from `first` on: with 6x6 inputs, or with the 4x4 gradients of outputs.
template <bool gradient>
void transform_block(const float* images, int64_t channels, const Tiles& tiles, int64_t first, int count,
                     float* block) {
    const int size = gradient ? 4 : 6;
    const int64_t stride = frequency_stride(channels);
    // Tiles go in pairs, as two of them fill a cache line of the block.
    for (int pair = 0; pair < count; pair += 2)
        for (int64_t channel = 0; channel < channels; channel += kLanes)
            for (int tile = pair; tile < std::min(pair + 2, count); tile++) {
                const Corner at(tiles, first + tile);
                const int margin = gradient ? 0 : 1;
                Vector pixels[size * size], half[6 * size], row[6];
                read_tile<size>(images + channel, channels, tiles, at.image, at.y - margin, at.x - margin, pixels);
                for (int c = 0; c < size; c++) {
                    if (gradient)
                        transform_gradient(pixels + c, size, half + c, size);
                    else
                        transform_input(pixels + c, size, half + c, size);
                }
                float* out = block + channel * kTiles + tile * kLanes;
                for (int r = 0; r < 6; r++) {
                    if (gradient)
                        transform_gradient(half + r * size, 1, row, 1);
                    else
                        transform_input(half + r * size, 1, row, 1);
                    for (int c = 0; c < 6; c++) store(out + (r * 6 + c) * stride, row[c]);
                }
            }
}

// Transforms a block of products back into pixels, and adds the bias, if any.
void write_block(const float* block, const float* bias, int64_t channels, const Tiles& tiles, int64_t first,
                 int count, float* images) {
    const int64_t stride = frequency_stride(channels), row = tiles.width * channels;
    for (int pair = 0; pair < count; pair += 2)
        for (int64_t channel = 0; channel < channels; channel += kLanes) {
            const Vector offset = bias ? load(bias + channel) : Vector{};
            for (int tile = pair; tile < std::min(pair + 2, count); tile++) {
                const Corner at(tiles, first + tile);
                const float* in = block + channel * kTiles + tile * kLanes;
                Vector half[4 * 6], column[6], pixels[4];
                for (int c = 0; c < 6; c++) {
                    for (int r = 0; r < 6; r++) column[r] = load(in + (r * 6 + c) * stride);
                    transform_output(column, half + c, 6);
                }
                float* out = images + (at.image * tiles.height + at.y) * row + at.x * channels + channel;
                for (int r = 0; r < 4 && at.y + r < tiles.height; r++) {
                    transform_output(half + r * 6, pixels, 1);
                    for (int c = 0; c < 4; c++)
                        if (at.x + c < tiles.width) store(out + r * row + c * channels, pixels[c] + offset);
                }
            }
        }
}

// One frequency's products, tiles x inputs times inputs x outputs; weights are [output / 16][input][16].
// 6 tiles x 16 outputs at a time: 12 sums in registers, to keep both multiply-add units busy.
void multiply_weights(const float* in, const float* weights, float* out, int64_t inputs, int64_t outputs, int count) {
    for (int64_t output = 0; output < outputs; output += 2 * kLanes)
        for (int tile = 0; tile < count; tile += 6) {
            __m256 sums[6][2];
            for (int r = 0; r < 6; r++) sums[r][0] = sums[r][1] = _mm256_setzero_ps();
            const float* v = in + tile * kLanes;
            const float* u = weights + output * inputs;
            for (int64_t input = 0; input < inputs; input += kLanes, v += kTiles * kLanes) {
#pragma GCC unroll 8
                for (int lane = 0; lane < kLanes; lane++, u += 2 * kLanes) {
                    const __m256 low = _mm256_loadu_ps(u), high = _mm256_loadu_ps(u + kLanes);
#pragma GCC unroll 6
                    for (int r = 0; r < 6; r++) {
                        const __m256 value = _mm256_broadcast_ss(v + r * kLanes + lane);
                        sums[r][0] = _mm256_fmadd_ps(value, low, sums[r][0]);
                        sums[r][1] = _mm256_fmadd_ps(value, high, sums[r][1]);
                    }
                }
            }
            float* m = out + output * kTiles + tile * kLanes;
            for (int r = 0; r < 6; r++) {
                _mm256_storeu_ps(m + r * kLanes, sums[r][0]);
                _mm256_storeu_ps(m + (kTiles + r) * kLanes, sums[r][1]);
            }
        }
}

// sums[4][8 * width] += tiles' inputs, 4 channels, times their gradients, 8 * width channels.
template <int width>
inline void add_products(const float* in, const float* gradient, float* sums, int64_t outputs, int count) {
    __m256 a[4][width];
    for (int r = 0; r < 4; r++)
        for (int j = 0; j < width; j++) a[r][j] = _mm256_loadu_ps(sums + r * outputs + j * kLanes);
    for (int tile = 0; tile < count; tile++, in += kLanes, gradient += kLanes) {
        __m256 b[width];
#pragma GCC unroll 3
        for (int j = 0; j < width; j++) b[j] = _mm256_loadu_ps(gradient + j * kTiles * kLanes);
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) {
            const __m256 value = _mm256_broadcast_ss(in + r);
#pragma GCC unroll 3
            for (int j = 0; j < width; j++) a[r][j] = _mm256_fmadd_ps(value, b[j], a[r][j]);
        }
    }
    for (int r = 0; r < 4; r++)
        for (int j = 0; j < width; j++) _mm256_storeu_ps(sums + r * outputs + j * kLanes, a[r][j]);
}

// One frequency's share of the weights' gradient, [inputs][outputs].
void add_weight_gradient(const float* in, const float* gradient, float* sums, int64_t inputs, int64_t outputs,
                         int count) {
    for (int64_t output = 0; output < outputs;) {
        // Three vectors wide, as 12 sums fill the registers best; outputs / 8 is even, so 2 or 4 may be left over.
        const int64_t left = (outputs - output) / kLanes;
        const int width = left == 2 || left == 4 ? 2 : 3;
        for (int64_t input = 0; input < inputs; input += 4) {
            const float* v = in + input / kLanes * kLanes * kTiles + input % kLanes;
            const float* d = gradient + output * kTiles;
            float* s = sums + input * outputs + output;
            if (width == 2)
                add_products<2>(v, d, s, outputs, count);
            else
                add_products<3>(v, d, s, outputs, count);
        }
        output += width * kLanes;
    }
}

// ---------------------------------------------------------------------------------------- BatchNorm and GELU

// eˣ for x ≤ 0, to about 1e-7 of its value: 2ⁿ eʳ with |r| ≤ ln 2 / 2, and the polynomial of Cephes' expf for eʳ.
inline Vector exp_negative(Vector x) {
    x = (Vector)_mm256_max_ps((__m256)x, _mm256_set1_ps(-80.f));  // no denormal numbers: they are slow
    const __m256 n =
        _mm256_round_ps((__m256)(x * 1.44269504088896341f), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    Vector r = x - (Vector)n * 0.693359375f;  // ln 2 in two parts, so that nothing is lost
    r = r + (Vector)n * 2.12194440e-4f;
    Vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return p * (Vector)_mm256_castsi256_ps(power);
}

// The normal distribution at z: `below`, the probability Φ(z), by Abramowitz & Stegun (1964), 7.1.26, within 3e-7;
// and `bell`, exp(-z²/2).
inline void normal(Vector z, Vector& below, Vector& bell) {
    bell = exp_negative(-0.5f * z * z);
    const Vector a = (Vector)_mm256_andnot_ps(_mm256_set1_ps(-0.f), (__m256)z) * 0.70710678118654752f;
    const Vector t = 1.f / (1.f + 0.3275911f * a);
    Vector p = 1.061405429f * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Vector tail = p * t * bell * 0.5f;  // Φ(-|z|)
    below = (Vector)_mm256_blendv_ps((__m256)(1.f - tail), (__m256)tail, (__m256)z);
}

}  // namespace

#include "normalization.h"

extern "C" {

// x [batch][height][width][inputs] to y [batch][height][width][outputs]; weights are transformed,
// [36][outputs / 16][inputs][16]; bias [outputs], or null.
void winograd_forward(const float* x, const float* weights, const float* bias, float* y, int64_t batch, int64_t height,
                      int64_t width, int64_t inputs, int64_t outputs, int64_t threads) {
    const Tiles tiles(batch, height, width, kTiles);
#pragma omp parallel num_threads(threads)
    {
        float* in = scratch_a.of_size<float>(block_size(inputs));
        float* out = scratch_b.of_size<float>(block_size(outputs));
        // Whichever thread takes a block computes the same outputs, so the idle one may.
#pragma omp for schedule(dynamic, 1)
        for (int64_t block = 0; block < tiles.blocks(); block++) {
            const int count = tiles.in_block(block);
            transform_block<false>(x, inputs, tiles, block * kTiles, count, in);
            for (int f = 0; f < kFrequencies; f++)
                multiply_weights(in + f * frequency_stride(inputs), weights + f * inputs * outputs,
                                 out + f * frequency_stride(outputs), inputs, outputs, count);
            write_block(out, bias, outputs, tiles, block * kTiles, count, y);
        }
    }
}

// Adds to weight_sums [threads][36][inputs][outputs], transformed, and to bias_sums [threads][outputs].
void winograd_gradient(const float* x, const float* dy, float* weight_sums, float* bias_sums, int64_t batch,
                       int64_t height, int64_t width, int64_t inputs, int64_t outputs, int64_t threads) {
    const Tiles tiles(batch, height, width, kTiles);
#pragma omp parallel num_threads(threads)
    {
        float* in = scratch_a.of_size<float>(block_size(inputs));
        float* gradient = scratch_b.of_size<float>(block_size(outputs));
        float* weight_sum = weight_sums + omp_get_thread_num() * kFrequencies * inputs * outputs;
        float* bias_sum = bias_sums + omp_get_thread_num() * outputs;
        // Static: a thread that took whichever block comes next would round its sums differently in every run.
#pragma omp for schedule(static)
        for (int64_t block = 0; block < tiles.blocks(); block++) {
            const int count = tiles.in_block(block);
            transform_block<false>(x, inputs, tiles, block * kTiles, count, in);
            transform_block<true>(dy, outputs, tiles, block * kTiles, count, gradient);
            for (int f = 0; f < kFrequencies; f++)
                add_weight_gradient(in + f * frequency_stride(inputs), gradient + f * frequency_stride(outputs),
                                    weight_sum + f * inputs * outputs, inputs, outputs, count);
            for (int64_t output = 0; output < outputs; output += kLanes) {
                const float* sums = gradient + kSum * frequency_stride(outputs) + output * kTiles;
                Vector sum{};
                for (int tile = 0; tile < count; tile++) sum += load(sums + tile * kLanes);
                store(bias_sum + output, load(bias_sum + output) + sum);
            }
        }
    }
}

// dz = dy GELU'(z) for z = scale x + shift; adds to sums [threads][2][channels]: dz, and dz times the normalized x.
void gelu_gradient(const float* x, const float* dy, float* dz, const float* scale, const float* shift,
                   const float* mean, const float* rstd, double* sums, int64_t pixels, int64_t channels,
                   int64_t threads) {
    sum_pixels<Vector, 1>(pixels, channels, sums, threads, [=](int64_t i, int64_t c, Vector& first, Vector& second) {
        const Vector input = load(x + i);
        const Vector z = input * load(scale + c) + load(shift + c);
        Vector below, bell;
        normal(z, below, bell);
        const Vector gradient = load(dy + i) * (below + z * bell * 0.3989422804014327f);  // 1 / √(2π)
        first += gradient;
        second += gradient * ((input - load(mean + c)) * load(rstd + c));
        store(dz + i, gradient);
    });
}

// dz becomes dx = scale dz + slope x + offset.
void batch_gradient(const float* x, float* dz, const float* scale, const float* slope, const float* offset,
                    int64_t pixels, int64_t channels, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t pixel = 0; pixel < pixels; pixel++)
        for (int64_t c = 0; c < channels; c += kLanes) {
            const int64_t i = pixel * channels + c;
            store(dz + i, load(scale + c) * load(dz + i) + load(slope + c) * load(x + i) + load(offset + c));
        }
}

}  // extern "C"
