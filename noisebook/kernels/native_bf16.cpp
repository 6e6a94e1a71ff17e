// The kernels of native.cpp for processors with AVX512_BF16: images, and what is multiplied, in bfloat16; sums and
// everything in between in single precision.
//
// - The convolution is Winograd's F(4x4, 3x3) again, but for the points 0, ±5/8, ±5/4 and infinity, which suit few
//   digits better than whole numbers (Barabasz and others 2020, "Error analysis and improving the accuracy of Winograd
//   convolution for deep neural networks"): the result's error is 1% of its standard deviation, in place of 2%, where
//   that of a plain convolution in bfloat16 is 0.3%.
// - Attention in one pass, for inference.
// - In memory, images are dense NHWC with a multiple of 16 channels, as there.
#include "native.h"

namespace {

typedef uint16_t bf16;
typedef bf16 Number;
typedef float Vector __attribute__((vector_size(64)));
const int kLanes = 16;
const int kAtOnce = 16;

inline Vector load(const float* p) { return (Vector)_mm512_loadu_ps(p); }
inline void store(float* p, Vector v) { _mm512_storeu_ps(p, (__m512)v); }
inline Vector load(const bf16* p) {
    return (Vector)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16);
}
inline void store(bf16* p, Vector v) { _mm256_storeu_si256((__m256i*)p, (__m256i)_mm512_cvtneps_pbh((__m512)v)); }
inline __m512bh load_pairs(const bf16* p) { return (__m512bh)_mm512_loadu_si512(p); }
inline __m512bh broadcast_pair(const bf16* p) {
    int pair;
    memcpy(&pair, p, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}
// a and b rounded and interleaved: a0 b0 a1 b1 …
inline void store_pairs(bf16* p, Vector a, Vector b) {
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)a));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)b));
    _mm512_storeu_si512(p, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

// ------------------------------------------------------------------------------------------------- Winograd

// Tiles in a block, whose transforms stay in the second-level cache: multiples of 6, and of 2.
const int kForwardTiles = 24, kGradientTiles = 48;
const int kFrequencies = 36;

// A transformed block is [frequency][tile][channel] or, where tiles are summed over, [frequency][tile / 2][channel]
// [tile % 2]. What stands between frequencies keeps them from falling on the same cache set.
inline int64_t frequency_stride(int64_t channels, int tiles) { return tiles * channels + 32; }

const float kA = 0.625f, kB = 1.25f;  // the points ±kA and ±kB
#include "winograd.h"

// Where the size x size pixels from (y, x) on are; zeros outside of the image.
template <int size>
inline void find_pixels(const bf16* images, const bf16* zeros, int64_t channels, const Tiles& tiles, int64_t image,
                        int64_t y, int64_t x, const bf16** out) {
    const int64_t row = tiles.width * channels;
    const bf16* p = images + image * tiles.height * row + y * row + x * channels;
    for (int r = 0; r < size; r++)
        for (int c = 0; c < size; c++) {
            const bool inside = y + r >= 0 && y + r < tiles.height && x + c >= 0 && x + c < tiles.width;
            out[r * size + c] = inside ? p + r * row + c * channels : zeros;
        }
}

// Transforms a tile's 6x6 inputs, 16 channels; `put` takes each frequency and its value.
template <typename Put>
inline void transform_inputs(const bf16* const* pixels, int64_t channel, Put put) {
    Vector column[6], half[36], row[6];
    for (int c = 0; c < 6; c++) {
        for (int r = 0; r < 6; r++) column[r] = load(pixels[r * 6 + c] + channel);
        transform_input(column, 1, half + c, 6);
    }
    for (int r = 0; r < 6; r++) {
        transform_input(half + r * 6, 1, row, 1);
        for (int c = 0; c < 6; c++) put(r * 6 + c, row[c]);
    }
}

// Transforms the 4x4 gradients of a tile's outputs, 16 channels; returns their sum.
template <typename Put>
inline Vector transform_gradients(const bf16* const* pixels, int64_t channel, Put put) {
    Vector column[4], half[24], row[6], sum{};
    for (int c = 0; c < 4; c++) {
        for (int r = 0; r < 4; r++) column[r] = load(pixels[r * 4 + c] + channel);
        sum += column[0] + column[1] + column[2] + column[3];
        transform_gradient(column, 1, half + c, 4);
    }
    for (int r = 0; r < 6; r++) {
        transform_gradient(half + r * 4, 1, row, 1);
        for (int c = 0; c < 6; c++) put(r * 6 + c, row[c]);
    }
    return sum;
}

// Transforms a block of products back into pixels, and adds the bias, if any.
void write_block(const float* block, const float* bias, int64_t channels, const Tiles& tiles, int64_t first,
                 int count, bf16* images) {
    const int64_t stride = frequency_stride(channels, kForwardTiles), row = tiles.width * channels;
    for (int tile = 0; tile < count; tile++) {
        const Corner at(tiles, first + tile);
        const int height = (int)std::min<int64_t>(4, tiles.height - at.y);
        const int width = (int)std::min<int64_t>(4, tiles.width - at.x);
        for (int64_t channel = 0; channel < channels; channel += kLanes) {
            const Vector offset = bias ? load(bias + channel) : Vector{};
            const float* in = block + tile * channels + channel;
            Vector half[4 * 6], column[6], pixels[4];
            for (int c = 0; c < 6; c++) {
                for (int r = 0; r < 6; r++) column[r] = load(in + (r * 6 + c) * stride);
                transform_output(column, half + c, 6);
            }
            bf16* out = images + (at.image * tiles.height + at.y) * row + at.x * channels + channel;
            for (int r = 0; r < height; r++) {
                transform_output(half + r * 6, pixels, 1);
                for (int c = 0; c < width; c++) store(out + r * row + c * channels, pixels[c] + offset);
            }
        }
    }
}

// One frequency's products, 6 tiles x inputs times inputs x 16 * width outputs; weights are [input / 2][output][2].
template <int width>
inline void multiply(const bf16* in, const bf16* weights, float* out, int64_t inputs, int64_t outputs) {
    __m512 sums[6][width];
    for (int r = 0; r < 6; r++)
        for (int c = 0; c < width; c++) sums[r][c] = _mm512_setzero_ps();
    for (int64_t input = 0; input < inputs; input += 2) {
        __m512bh w[width];
#pragma GCC unroll 4
        for (int c = 0; c < width; c++) w[c] = load_pairs(weights + input * outputs + c * 32);
#pragma GCC unroll 6
        for (int r = 0; r < 6; r++) {
            const __m512bh v = broadcast_pair(in + r * inputs + input);
#pragma GCC unroll 4
            for (int c = 0; c < width; c++) sums[r][c] = _mm512_dpbf16_ps(sums[r][c], v, w[c]);
        }
    }
    for (int r = 0; r < 6; r++)
        for (int c = 0; c < width; c++) _mm512_storeu_ps(out + r * outputs + c * kLanes, sums[r][c]);
}

// Rows x inputs times inputs x outputs, with as many rows as 6 divides.
inline void multiply(const bf16* in, const bf16* weights, float* out, int64_t inputs, int64_t outputs, int rows) {
    for (int64_t output = 0; output < outputs;) {
        const bf16* w = weights + output * 2;
        const int vectors = (int)std::min<int64_t>(4, (outputs - output) / kLanes);
        for (int row = 0; row < rows; row += 6) {
            const bf16* v = in + row * inputs;
            float* m = out + row * outputs + output;
            switch (vectors) {
                case 1: multiply<1>(v, w, m, inputs, outputs); break;
                case 2: multiply<2>(v, w, m, inputs, outputs); break;
                case 3: multiply<3>(v, w, m, inputs, outputs); break;
                default: multiply<4>(v, w, m, inputs, outputs);
            }
        }
        output += vectors * kLanes;
    }
}

// sums[4][16 * width] += pairs of tiles: 4 channels of inputs times 16 * width channels of gradients.
template <int width>
inline void add_products(const bf16* in, const bf16* gradient, float* sums, int64_t inputs, int64_t outputs,
                         int pairs) {
    __m512 a[4][width];
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < width; c++) a[r][c] = _mm512_loadu_ps(sums + r * outputs + c * kLanes);
    for (int pair = 0; pair < pairs; pair++) {
        __m512bh d[width];
#pragma GCC unroll 4
        for (int c = 0; c < width; c++) d[c] = load_pairs(gradient + pair * 2 * outputs + c * 32);
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) {
            const __m512bh v = broadcast_pair(in + pair * 2 * inputs + r * 2);
#pragma GCC unroll 4
            for (int c = 0; c < width; c++) a[r][c] = _mm512_dpbf16_ps(a[r][c], v, d[c]);
        }
    }
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < width; c++) _mm512_storeu_ps(sums + r * outputs + c * kLanes, a[r][c]);
}

// ---------------------------------------------------------------------------------------- BatchNorm and GELU

// 2ˣ as 2ⁿ 2ʳ with |r| ≤ 1/2 and 2ʳ by its Taylor polynomial, within 5e-5 of it.
inline Vector power_of_2(Vector x) {
    x = (Vector)_mm512_max_ps((__m512)x, _mm512_set1_ps(-100.f));  // no denormal numbers: they are slow
    const Vector n = (Vector)_mm512_roundscale_ps((__m512)x, 0x08);
    const Vector r = x - n;
    Vector p = r * 0.0096181291f + 0.0555041087f;
    p = p * r + 0.2402265070f;
    p = p * r + 0.6931471806f;
    p = p * r + 1.f;
    return (Vector)_mm512_scalef_ps((__m512)p, (__m512)n);
}

// The normal distribution at z, to bfloat16's needs: `below`, the probability Φ(z), by Abramowitz & Stegun (1964),
// 7.1.25, within 3e-5; and `bell`, exp(-z²/2).
inline void normal(Vector z, Vector& below, Vector& bell) {
    bell = power_of_2(z * z * -0.72134752044f);
    const Vector a = (Vector)_mm512_abs_ps((__m512)z);
    const Vector t = (Vector)_mm512_rcp14_ps((__m512)(a * 0.3326724064f + 1.f));  // .47047 / √2
    const Vector q = (t * 0.3739278f - 0.0479399f) * t + 0.1740121f;              // halves of 7.1.25's
    const Vector tail = q * t * bell;                                            // Φ(-|z|)
    const __mmask16 negative = _mm512_movepi32_mask((__m512i)z);
    below = (Vector)_mm512_mask_blend_ps(negative, (__m512)(1.f - tail), (__m512)tail);
}

inline Vector gelu_slope(Vector z) {
    Vector below, bell;
    normal(z, below, bell);
    return below + z * bell * 0.3989422804014327f;  // 1 / √(2π)
}

// ------------------------------------------------------------------------------------------------- Attention

const int kQueries = 12;  // in a block: a multiple of 6

// Weights 2^(factor (score - the largest)) of a row of scores, 0 beyond `count`; returns their sum.
inline float exponentiate(const float* scores, bf16* weights, int64_t count, int64_t padded, float factor) {
    const int64_t whole = count / kLanes * kLanes;
    const __mmask16 rest = (__mmask16)((1u << (count - whole)) - 1);
    const __m512 lowest = _mm512_set1_ps(-INFINITY);
    __m512 most = _mm512_mask_loadu_ps(lowest, rest, scores + whole);
    for (int64_t i = 0; i < whole; i += kLanes) most = _mm512_max_ps(most, _mm512_loadu_ps(scores + i));
    const float largest = _mm512_reduce_max_ps(most);
    Vector sum{};
    for (int64_t i = 0; i < padded; i += kLanes) {
        Vector weight = power_of_2((load(scores + i) - largest) * factor);
        if (i == whole) weight = (Vector)_mm512_maskz_mov_ps(rest, (__m512)weight);
        sum += weight;
        store(weights + i, weight);
    }
    return _mm512_reduce_add_ps((__m512)sum);
}

}  // namespace

#include "normalization.h"

extern "C" {

int supported() { return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw"); }

// x [batch][height][width][inputs] to y [batch][height][width][outputs]; weights are transformed,
// [36][inputs / 2][outputs][2]; bias [outputs], or null.
void winograd_forward(const bf16* x, const bf16* weights, const float* bias, bf16* y, int64_t batch, int64_t height,
                      int64_t width, int64_t inputs, int64_t outputs, int64_t threads) {
    const Tiles tiles(batch, height, width, kForwardTiles);
    const int64_t in_stride = frequency_stride(inputs, kForwardTiles);
    const int64_t out_stride = frequency_stride(outputs, kForwardTiles);
#pragma omp parallel num_threads(threads)
    {
        const bf16* zeros = scratch_c.of_size<bf16>(inputs);
        bf16* in = scratch_a.of_size<bf16>(kFrequencies * in_stride);
        float* out = scratch_b.of_size<float>(kFrequencies * out_stride);
        // Whichever thread takes a block computes the same outputs, so the idle one may.
#pragma omp for schedule(dynamic, 1)
        for (int64_t block = 0; block < tiles.blocks(); block++) {
            const int64_t first = block * kForwardTiles;
            const int count = tiles.in_block(block);
            for (int tile = 0; tile < count; tile++) {
                const Corner at(tiles, first + tile);
                const bf16* pixels[36];
                find_pixels<6>(x, zeros, inputs, tiles, at.image, at.y - 1, at.x - 1, pixels);
                for (int64_t channel = 0; channel < inputs; channel += kLanes) {
                    bf16* out = in + tile * inputs + channel;
                    transform_inputs(pixels, channel, [=](int f, Vector value) { store(out + f * in_stride, value); });
                }
            }
            for (int f = 0; f < kFrequencies; f++)
                multiply(in + f * in_stride, weights + f * inputs * outputs, out + f * out_stride, inputs, outputs,
                         (count + 5) / 6 * 6);
            write_block(out, bias, outputs, tiles, first, count, y);
        }
    }
}

// Adds to weight_sums [threads][36][inputs][outputs], transformed, and to bias_sums [threads][outputs].
void winograd_gradient(const bf16* x, const bf16* dy, float* weight_sums, float* bias_sums, int64_t batch,
                       int64_t height, int64_t width, int64_t inputs, int64_t outputs, int64_t threads) {
    const Tiles tiles(batch, height, width, kGradientTiles);
    const int64_t in_stride = frequency_stride(inputs, kGradientTiles);
    const int64_t gradient_stride = frequency_stride(outputs, kGradientTiles);
#pragma omp parallel num_threads(threads)
    {
        const bf16* zeros = scratch_c.of_size<bf16>(std::max(inputs, outputs));
        bf16* in = scratch_a.of_size<bf16>(kFrequencies * in_stride);
        bf16* gradient = scratch_b.of_size<bf16>(kFrequencies * gradient_stride);
        float* weight_sum = weight_sums + omp_get_thread_num() * kFrequencies * inputs * outputs;
        float* bias_sum = bias_sums + omp_get_thread_num() * outputs;
        // Static: a thread that took whichever block comes next would round its sums differently in every run.
#pragma omp for schedule(static)
        for (int64_t block = 0; block < tiles.blocks(); block++) {
            const int64_t first = block * kGradientTiles;
            const int count = tiles.in_block(block), pairs = (count + 1) / 2;
            for (int tile = 0; tile < count; tile += 2) {
                const bool two = tile + 1 < count;
                const Corner at[2] = {{tiles, first + tile}, {tiles, first + tile + 1}};
                const bf16* pixels[2][36];
                Vector a[36];
                const auto keep = [&](int f, Vector value) { a[f] = value; };
                for (int i = 0; i < 1 + two; i++)
                    find_pixels<6>(x, zeros, inputs, tiles, at[i].image, at[i].y - 1, at[i].x - 1, pixels[i]);
                for (int64_t channel = 0; channel < inputs; channel += kLanes) {
                    bf16* out = in + tile * inputs + channel * 2;
                    const auto pair = [&](int f, Vector value) { store_pairs(out + f * in_stride, a[f], value); };
                    transform_inputs(pixels[0], channel, keep);
                    if (two)
                        transform_inputs(pixels[1], channel, pair);
                    else
                        for (int f = 0; f < kFrequencies; f++) pair(f, Vector{});
                }
                for (int i = 0; i < 1 + two; i++)
                    find_pixels<4>(dy, zeros, outputs, tiles, at[i].image, at[i].y, at[i].x, pixels[i]);
                for (int64_t channel = 0; channel < outputs; channel += kLanes) {
                    bf16* out = gradient + tile * outputs + channel * 2;
                    const auto pair = [&](int f, Vector value) {
                        store_pairs(out + f * gradient_stride, a[f], value);
                    };
                    Vector sum = transform_gradients(pixels[0], channel, keep);
                    if (two)
                        sum += transform_gradients(pixels[1], channel, pair);
                    else
                        for (int f = 0; f < kFrequencies; f++) pair(f, Vector{});
                    store(bias_sum + channel, load(bias_sum + channel) + sum);
                }
            }
            for (int f = 0; f < kFrequencies; f++)
                for (int64_t output = 0; output < outputs;) {
                    const bf16* d = gradient + f * gradient_stride + output * 2;
                    const int vectors = (int)std::min<int64_t>(4, (outputs - output) / kLanes);
                    for (int64_t input = 0; input < inputs; input += 4) {
                        const bf16* v = in + f * in_stride + input * 2;
                        float* s = weight_sum + (f * inputs + input) * outputs + output;
                        switch (vectors) {
                            case 1: add_products<1>(v, d, s, inputs, outputs, pairs); break;
                            case 2: add_products<2>(v, d, s, inputs, outputs, pairs); break;
                            case 3: add_products<3>(v, d, s, inputs, outputs, pairs); break;
                            default: add_products<4>(v, d, s, inputs, outputs, pairs);
                        }
                    }
                    output += vectors * kLanes;
                }
        }
    }
}

// With dz = dy GELU'(z) for z = scale x + shift: adds to sums [threads][2][channels]: dz, and dz times the normalized x.
void gelu_sums(const bf16* x, const bf16* dy, const float* scale, const float* shift, const float* mean,
               const float* rstd, double* sums, int64_t pixels, int64_t channels, int64_t threads) {
    sum_pixels<Vector, 16>(pixels, channels, sums, threads, [=](int64_t i, int64_t c, Vector& first, Vector& second) {
        const Vector input = load(x + i);
        const Vector dz = load(dy + i) * gelu_slope(input * load(scale + c) + load(shift + c));
        first += dz;
        second += dz * ((input - load(mean + c)) * load(rstd + c));
    });
}

// dx = scale dz + slope x + offset, with dz once more: faster than to write it and read it.
void gelu_gradient(const bf16* x, const bf16* dy, bf16* dx, const float* scale, const float* shift,
                   const float* slope, const float* offset, int64_t pixels, int64_t channels, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t pixel = 0; pixel < pixels; pixel++)
        for (int64_t c = 0; c < channels; c += kLanes) {
            const int64_t i = pixel * channels + c;
            const Vector input = load(x + i);
            const Vector dz = load(dy + i) * gelu_slope(input * load(scale + c) + load(shift + c));
            store(dx + i, load(scale + c) * dz + load(slope + c) * input + load(offset + c));
        }
}

// softmax(q kᵀ / √size) v for each image and head, where the keys are text's and then, if `whole`, the image's own.
// pixels [images][queries][q k v or q][heads][size], text [images][texts][k v][heads][size], y [images][queries][heads]
// [size]; size is a multiple of 16. A head's keys and values are rearranged once, for the blocks of its queries; a
// block's scores stay in the cache.
void attention(const bf16* pixels, const bf16* text, bf16* y, int64_t images, int64_t queries, int64_t texts,
               int64_t heads, int64_t size, int64_t whole, int64_t threads) {
    const int64_t row = heads * size, pixel = whole ? 3 * row : row, keys = texts + (whole ? queries : 0);
    const int64_t padded = (keys + kLanes - 1) / kLanes * kLanes;
    const float to_power_of_2 = 1.44269504f / std::sqrt((float)size);
#pragma omp parallel num_threads(threads)
    {
        // [size / 2][padded][2], [padded / 2][size][2]: zero beyond the last key.
        std::vector<bf16> keys_by_pair(size * padded), values_by_pair(padded * size);
        std::vector<bf16> in(kQueries * size), weights(kQueries * padded);
        std::vector<float> scores(kQueries * padded), out(kQueries * size);
#pragma omp for schedule(dynamic, 1)
        for (int64_t head = 0; head < images * heads; head++) {
            const int64_t image = head / heads, at = head % heads * size;
            for (int64_t key = 0; key < keys; key++) {
                const bf16* k = key < texts ? text + (image * texts + key) * 2 * row + at
                                            : pixels + (image * queries + key - texts) * pixel + row + at;
                for (int64_t c = 0; c < size; c += 2)
                    memcpy(&keys_by_pair[(c / 2 * padded + key) * 2], k + c, 2 * sizeof(bf16));
                bf16* pair = &values_by_pair[key / 2 * size * 2 + key % 2];
                for (int64_t c = 0; c < size; c++) pair[c * 2] = k[row + c];
            }
            for (int64_t first = 0; first < queries; first += kQueries) {
                const int count = (int)std::min<int64_t>(kQueries, queries - first), rows = (count + 5) / 6 * 6;
                const int64_t from = image * queries + first;
                for (int i = 0; i < count; i++)
                    memcpy(&in[i * size], pixels + (from + i) * pixel + at, size * sizeof(bf16));
                multiply(in.data(), keys_by_pair.data(), scores.data(), size, padded, rows);
                float totals[kQueries];
                for (int i = 0; i < count; i++)
                    totals[i] = exponentiate(&scores[i * padded], &weights[i * padded], keys, padded, to_power_of_2);
                multiply(weights.data(), values_by_pair.data(), out.data(), padded, size, rows);
                for (int i = 0; i < count; i++)
                    for (int64_t c = 0; c < size; c += kLanes)
                        store(y + (from + i) * row + at + c, load(&out[i * size + c]) * (1 / totals[i]));
            }
        }
    }
}

}  // extern "C"
