// Normalization and GELU of images of type Number, for native.cpp and native_bf16.cpp alike: each includes this once it
// has Number, Vector, kLanes, load, store and normal, and kAtOnce, pixels that are added in registers.
#pragma once
#include "native.h"

extern "C" {

// Adds to sums [threads][2][channels]: x - x₀ and (x - x₀)², where x₀ is the first pixel. Near the mean as it is, it
// spares the variance the cancellation of E[x²] - E[x]².
void batch_sums(const Number* x, double* sums, int64_t pixels, int64_t channels, int64_t threads) {
    sum_pixels<Vector, kAtOnce>(pixels, channels, sums, threads, [=](int64_t i, int64_t c, Vector& first, Vector& second) {
        const Vector difference = load(x + i) - load(x + c);
        first += difference;
        second += difference * difference;
    });
}

// y = GELU(scale x + shift)
void scale_gelu(const Number* x, Number* y, const float* scale, const float* shift, int64_t pixels, int64_t channels,
                int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t pixel = 0; pixel < pixels; pixel++)
        for (int64_t c = 0; c < channels; c += kLanes) {
            const int64_t i = pixel * channels + c;
            const Vector z = load(x + i) * load(scale + c) + load(shift + c);
            Vector below, bell;
            normal(z, below, bell);
            store(y + i, z * below);
        }
}

// y = GELU((1 + scale) z + shift), where z is x normalized over an image's group of channels, times weight, plus bias.
// x, y [images][pixels][channels]; weight, bias [channels]; modulation is [images][2][channels], scale and then shift,
// or null for neither; epsilon is one number; without `gelu`, GELU is left out.
void group_norm(const Number* x, const float* weight, const float* bias, const float* modulation, const float* epsilon,
                Number* y, int64_t images, int64_t pixels, int64_t channels, int64_t groups, int64_t gelu,
                int64_t threads) {
    const auto write = [=](int64_t i, Vector z) {
        if (gelu) {
            Vector below, bell;
            normal(z, below, bell);
            z = z * below;
        }
        store(y + i, z);
    };
    normalize_groups<Vector, kAtOnce>([=](int64_t i) { return load(x + i); }, write, weight, bias, modulation, *epsilon,
                                 images, pixels, channels, groups, (int)threads);
}

}  // extern "C"
