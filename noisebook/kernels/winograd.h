// The one-dimensional transforms of Winograd's F(4, 3) for the points 0, ±kA, ±kB and infinity, for native.cpp and
// native_bf16.cpp alike: each includes this, in its namespace, once it has Vector, kA and kB. Strides are in vectors.
#pragma once

const float kA2 = kA * kA, kB2 = kB * kB, kA3 = kA2 * kA, kB3 = kB2 * kB;

// Bᵀ d: 6 inputs to 6 frequencies.
inline void transform_input(const Vector* d, int stride, Vector* out, int out_stride) {
    const Vector d0 = d[0], d1 = d[stride], d2 = d[2 * stride];
    const Vector d3 = d[3 * stride], d4 = d[4 * stride], d5 = d[5 * stride];
    const Vector even1 = d4 - kB2 * d2, odd1 = kA * (d3 - kB2 * d1);
    const Vector even2 = d4 - kA2 * d2, odd2 = kB * (d3 - kA2 * d1);
    out[0] = kA2 * kB2 * d0 - (kA2 + kB2) * d2 + d4;
    out[out_stride] = even1 + odd1;
    out[2 * out_stride] = even1 - odd1;
    out[3 * out_stride] = even2 + odd2;
    out[4 * out_stride] = even2 - odd2;
    out[5 * out_stride] = kA2 * kB2 * d1 - (kA2 + kB2) * d3 + d5;
}

// Aᵀ m: 6 frequencies to 4 outputs.
inline void transform_output(const Vector* m, Vector* out, int out_stride) {
    const Vector sum1 = m[1] + m[2], difference1 = m[1] - m[2];
    const Vector sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    out[0] = m[0] + sum1 + sum2;
    out[out_stride] = kA * difference1 + kB * difference2;
    out[2 * out_stride] = kA2 * sum1 + kB2 * sum2;
    out[3 * out_stride] = kA3 * difference1 + kB3 * difference2 + m[5];
}

// A y: 4 outputs' gradients to 6 frequencies.
inline void transform_gradient(const Vector* y, int stride, Vector* out, int out_stride) {
    const Vector y0 = y[0], y1 = y[stride], y2 = y[2 * stride], y3 = y[3 * stride];
    const Vector even1 = y0 + kA2 * y2, odd1 = kA * y1 + kA3 * y3;
    const Vector even2 = y0 + kB2 * y2, odd2 = kB * y1 + kB3 * y3;
    out[0] = y0;
    out[out_stride] = even1 + odd1;
    out[2 * out_stride] = even1 - odd1;
    out[3 * out_stride] = even2 + odd2;
    out[4 * out_stride] = even2 - odd2;
    out[5 * out_stride] = y3;
}
