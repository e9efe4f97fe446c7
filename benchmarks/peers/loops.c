/* Explicit five-point steps on squares of float32, as plain C would have them: periodic ones, one
   with no-flux sides, and one around an obstacle.

   Two buffers a field, rows padded by ghost columns; ghost rows are not needed, since a row finds
   its neighbours by number. One parallel region around all steps, one barrier a step.

       gcc -O3 -march=native -fopenmp -shared -fPIC loops.c -o loops.so
*/
#include <stdlib.h>
#include <string.h>

enum { PAD = 16 }; /* 64 bytes: rows begin on cache lines */

#define STRIDE(n) ((size_t)(n) + 2 * PAD)

static float *padded(const float *values, int n) {
    float *rows = aligned_alloc(64, (STRIDE(n) * n * sizeof(float) + 63) / 64 * 64);
    if (rows == NULL) abort();
#pragma omp parallel for schedule(static)
    for (int i = 0; i < n; i++) {
        float *row = rows + i * STRIDE(n) + PAD;
        memcpy(row, values + (size_t)i * n, n * sizeof(float));
        row[-1] = row[n - 1];
        row[n] = row[0];
    }
    return rows;
}

static void take(float *values, float *rows, int n) {
    for (int i = 0; i < n; i++)
        memcpy(values + (size_t)i * n, rows + i * STRIDE(n) + PAD, n * sizeof(float));
}

static inline float *row_of(float *rows, int i, int n) {
    return rows + (size_t)((i + n) % n) * STRIDE(n) + PAD;
}

static inline void wrap(float *row, int n) {
    row[-1] = row[n - 1];
    row[n] = row[0];
}

#define SUM(north, row, south, j) (north[j] + south[j] + row[j - 1] + row[j + 1] - 4.0f * row[j])

/* u += a lap(u) + dt (F (1 - u) - u v^2), v += b lap(v) + dt (u v^2 - (F + k) v);
   a and b hold dt * D / h^2 */
void gray_scott(float *u_inout, float *v_inout, int n, long steps, float a, float b, float dt,
                float feed, float drain) {
    float *u[2] = {padded(u_inout, n), padded(u_inout, n)};
    float *v[2] = {padded(v_inout, n), padded(v_inout, n)};
#pragma omp parallel
    for (long s = 0; s < steps; s++) {
        float *uo = u[s & 1], *un = u[~s & 1], *vo = v[s & 1], *vn = v[~s & 1];
#pragma omp for schedule(static)
        for (int i = 0; i < n; i++) {
            const float *restrict un_ = row_of(uo, i - 1, n), *restrict uc = row_of(uo, i, n);
            const float *restrict us = row_of(uo, i + 1, n), *restrict vn_ = row_of(vo, i - 1, n);
            const float *restrict vc = row_of(vo, i, n), *restrict vs = row_of(vo, i + 1, n);
            float *restrict uw = row_of(un, i, n), *restrict vw = row_of(vn, i, n);
#pragma omp simd
            for (int j = 0; j < n; j++) {
                float x = uc[j], y = vc[j], r = x * y * y;
                uw[j] = x + a * SUM(un_, uc, us, j) + dt * (feed * (1.0f - x) - r);
                vw[j] = y + b * SUM(vn_, vc, vs, j) + dt * (r - drain * y);
            }
            wrap(uw, n);
            wrap(vw, n);
        }
    }
    take(u_inout, u[steps & 1], n);
    take(v_inout, v[steps & 1], n);
    for (int i = 0; i < 2; i++) { free(u[i]); free(v[i]); }
}

/* u += a lap(u) */
void heat(float *u_inout, int n, long steps, float a) {
    float *u[2] = {padded(u_inout, n), padded(u_inout, n)};
#pragma omp parallel
    for (long s = 0; s < steps; s++) {
        float *uo = u[s & 1], *un = u[~s & 1];
#pragma omp for schedule(static)
        for (int i = 0; i < n; i++) {
            const float *restrict north = row_of(uo, i - 1, n), *restrict row = row_of(uo, i, n);
            const float *restrict south = row_of(uo, i + 1, n);
            float *restrict to = row_of(un, i, n);
#pragma omp simd
            for (int j = 0; j < n; j++) to[j] = row[j] + a * SUM(north, row, south, j);
            wrap(to, n);
        }
    }
    take(u_inout, u[steps & 1], n);
    for (int i = 0; i < 2; i++) free(u[i]);
}

static inline float *nearest_row(float *rows, int i, int n) {
    return row_of(rows, i < 0 ? 0 : i >= n ? n - 1 : i, n);
}

static inline void mirror(float *row, int n) {
    row[-1] = row[0];
    row[n] = row[n - 1];
}

/* u += a lap(u) between no-flux sides */
void heat_neumann(float *u_inout, int n, long steps, float a) {
    float *u[2] = {padded(u_inout, n), padded(u_inout, n)};
    for (int i = 0; i < n; i++) mirror(row_of(u[0], i, n), n);
#pragma omp parallel
    for (long s = 0; s < steps; s++) {
        float *uo = u[s & 1], *un = u[~s & 1];
#pragma omp for schedule(static)
        for (int i = 0; i < n; i++) {
            const float *north = nearest_row(uo, i - 1, n), *row = row_of(uo, i, n);
            const float *south = nearest_row(uo, i + 1, n);
            float *restrict to = row_of(un, i, n);
#pragma omp simd
            for (int j = 0; j < n; j++) to[j] = row[j] + a * SUM(north, row, south, j);
            mirror(to, n);
        }
    }
    take(u_inout, u[steps & 1], n);
    for (int i = 0; i < 2; i++) free(u[i]);
}

#define OPEN(f, m, j, centre) (m[j] > 0.5f ? centre : f[j])

/* u += a lap(u) around an obstacle (where solid is 1) with no flux through its surface */
void heat_disk(float *u_inout, float *solid, int n, long steps, float a) {
    float *u[2] = {padded(u_inout, n), padded(u_inout, n)}, *mask = padded(solid, n);
#pragma omp parallel
    for (long s = 0; s < steps; s++) {
        float *uo = u[s & 1], *un = u[~s & 1];
#pragma omp for schedule(static)
        for (int i = 0; i < n; i++) {
            const float *restrict north = row_of(uo, i - 1, n), *restrict row = row_of(uo, i, n);
            const float *restrict south = row_of(uo, i + 1, n);
            const float *restrict mn = row_of(mask, i - 1, n), *restrict mc = row_of(mask, i, n);
            const float *restrict ms = row_of(mask, i + 1, n);
            float *restrict to = row_of(un, i, n);
#pragma omp simd
            for (int j = 0; j < n; j++) {
                float c = row[j];
                float sum = OPEN(north, mn, j, c) + OPEN(south, ms, j, c);
                sum += OPEN(row, mc, j - 1, c) + OPEN(row, mc, j + 1, c);
                to[j] = mc[j] > 0.5f ? c : c + a * (sum - 4.0f * c);
            }
            wrap(to, n);
        }
    }
    take(u_inout, u[steps & 1], n);
    for (int i = 0; i < 2; i++) free(u[i]);
    free(mask);
}

/* leapfrog: w += a lap(u), u += dt w; u stands half a step ahead of w */
void wave(float *u_inout, float *w_inout, int n, long steps, float a, float dt) {
    float *u[2] = {padded(u_inout, n), padded(u_inout, n)}, *w = padded(w_inout, n);
#pragma omp parallel
    for (long s = 0; s < steps; s++) {
        float *uo = u[s & 1], *un = u[~s & 1];
#pragma omp for schedule(static)
        for (int i = 0; i < n; i++) {
            const float *restrict north = row_of(uo, i - 1, n), *restrict row = row_of(uo, i, n);
            const float *restrict south = row_of(uo, i + 1, n);
            float *restrict to = row_of(un, i, n), *restrict speed = row_of(w, i, n);
#pragma omp simd
            for (int j = 0; j < n; j++) {
                float p = speed[j] + a * SUM(north, row, south, j);
                speed[j] = p;
                to[j] = row[j] + dt * p;
            }
            wrap(to, n);
        }
    }
    take(u_inout, u[steps & 1], n);
    take(w_inout, w, n);
    for (int i = 0; i < 2; i++) free(u[i]);
    free(w);
}
