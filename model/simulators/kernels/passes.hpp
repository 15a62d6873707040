// One sweep over the state: loads 2^K vectors, applies K steps in registers, stores them; forward, or backwards with its gradient.
//
// RY is applied as [[1, -t], [t, 1]], t = tan(angle / 2): one multiply-add per vector instead of two. The factor cos(angle / 2) is
// left out of the state and kept aside by the caller. Un-applying is the same with -t.
#pragma once

#include <type_traits>

#include "lanes.hpp"
#include "program.hpp"

namespace {

constexpr int NO_BIT = 63;  // no index has it: reads as 0

// A pass over vector bits, resolved: where its targets and their outer controls lie in a vector's index.
struct Sweep {
    int target[3];
    int control[3];      // vector bit outside the pass, or NO_BIT
    int lane_control;    // lane bit value that controls the first step, or 0
    std::size_t vectors; // of the state
};

// Walks over the vectors whose target bits are 0: next() carries past the target bits, which are kept set while adding.
template <int K> struct Walk {
    std::size_t locals = 0, offset[1 << K], base = 0;

    explicit INLINE Walk(const Sweep& sweep) {
        for (int e = 0; e < 1 << K; ++e) {
            offset[e] = 0;
            for (int k = 0; k < K; ++k) offset[e] |= std::size_t(e >> k & 1) << sweep.target[k];
        }
        locals = offset[(1 << K) - 1];
    }
    INLINE void next() { base = ((base | locals) + 1) & ~locals; }
    // An outer CNOT whose control is set at this base exchanges the halves of its target: the addresses are flipped instead.
    INLINE std::size_t flip(const Sweep& sweep) const {
        std::size_t flipped = 0;
        for (int k = 0; k < K; ++k) flipped ^= (base >> sweep.control[k] & 1) << sweep.target[k];
        return flipped;
    }
};

template <class V, class M, int N> INLINE void exchange_halves(V (&x)[N], M mask) {
#pragma GCC unroll 8
    for (int e = 0; e < N; e += 2) {
        V zero = x[e];
        x[e] = mask ? x[e + 1] : zero;
        x[e + 1] = mask ? zero : x[e + 1];
    }
}

// Step k of a chained pass is controlled by the target of step k - 1, which is bit k - 1 of e.
template <int K, int Chained> constexpr bool swapped(int k, int e) { return k > 0 && (Chained >> k & 1) && (e >> (k - 1) & 1); }

template <class T, int K, int Chained, bool OnLane>
void sweep_forward(const Sweep& sweep, Vector<T>* state, const Vector<T>* tangents) {
    using V = Vector<T>;
    constexpr int N = 1 << K;
    V tangent[K];
    for (int k = 0; k < K; ++k) tangent[k] = tangents[k];
    const Mask<T> mask = OnLane ? lanes_with<T>(sweep.lane_control) : Mask<T>{};
    Walk<K> walk(sweep);
    for (std::size_t i = 0; i < sweep.vectors >> K; ++i, walk.next()) {
        V* at = state + walk.base;
        const std::size_t flip = walk.flip(sweep);
        V x[N];
#pragma GCC unroll 8
        for (int e = 0; e < N; ++e) x[e] = at[walk.offset[e] ^ flip];
        if (OnLane) exchange_halves(x, mask);
#pragma GCC unroll 3
        for (int k = 0; k < K; ++k) {
#pragma GCC unroll 8
            for (int e = 0; e < N; ++e) {
                if (e >> k & 1) continue;
                const int other = e | 1 << k;
                const bool swap = swapped<K, Chained>(k, e);
                V zero = swap ? x[other] : x[e], one = swap ? x[e] : x[other];
                x[e] = zero - tangent[k] * one;
                x[other] = one + tangent[k] * zero;
            }
        }
#pragma GCC unroll 8
        for (int e = 0; e < N; ++e) at[walk.offset[e]] = x[e];
    }
}

// Un-applies the pass to state and cotangent, and adds to each step's gradient, lane by lane: sum of cotangent' J state over the
// pairs (zero, one) of its target, J = [[0, -1], [1, 0]], the generator of RY.
template <class T, int K, int Chained, bool OnLane>
void sweep_backward(const Sweep& sweep, Vector<T>* state, Vector<T>* cotangent, const Vector<T>* tangents, Vector<T>* gradients) {
    using V = Vector<T>;
    constexpr int N = 1 << K;
    V tangent[K], plus[K], minus[K];
    for (int k = 0; k < K; ++k) tangent[k] = tangents[k], plus[k] = minus[k] = V{};
    const Mask<T> mask = OnLane ? lanes_with<T>(sweep.lane_control) : Mask<T>{};
    Walk<K> walk(sweep);
    for (std::size_t i = 0; i < sweep.vectors >> K; ++i, walk.next()) {
        V* at = state + walk.base;
        V* at_cotangent = cotangent + walk.base;
        const std::size_t flip = walk.flip(sweep);
        V x[N], y[N];
#pragma GCC unroll 8
        for (int e = 0; e < N; ++e) x[e] = at[walk.offset[e]], y[e] = at_cotangent[walk.offset[e]];
#pragma GCC unroll 3
        for (int k = K - 1; k >= 0; --k) {
#pragma GCC unroll 8
            for (int e = 0; e < N; ++e) {
                if (e >> k & 1) continue;
                const int other = e | 1 << k;
                const bool swap = swapped<K, Chained>(k, e);
                V zero = x[e], one = x[other], zero_y = y[e], one_y = y[other];
                plus[k] += one_y * zero;
                minus[k] += zero_y * one;
                x[swap ? other : e] = zero + tangent[k] * one;
                x[swap ? e : other] = one - tangent[k] * zero;
                y[swap ? other : e] = zero_y + tangent[k] * one_y;
                y[swap ? e : other] = one_y - tangent[k] * zero_y;
            }
        }
        if (OnLane) exchange_halves(x, mask), exchange_halves(y, mask);
#pragma GCC unroll 8
        for (int e = 0; e < N; ++e) at[walk.offset[e] ^ flip] = x[e], at_cotangent[walk.offset[e] ^ flip] = y[e];
    }
    for (int k = 0; k < K; ++k) gradients[k] += plus[k] - minus[k];
}

// A step whose target is a lane bit: the other half of each pair is a partner lane of the same vector.
template <class T> struct LaneStep {
    int control;          // vector bit, or NO_BIT
    Mask<T> mask;         // lanes whose control bit, a lane bit, is set
    Vector<T> tangent;    // -t in the lanes where the target is 0, t where it is 1
    std::size_t vectors;  // of the state
};

template <class T, int Distance> INLINE Vector<T> lane_cnot(const LaneStep<T>& step, Vector<T> x, std::size_t index) {
    using Integer = typename std::remove_reference<decltype(step.mask[0])>::type;
    const Mask<T> set = step.mask | (Mask<T>{} - Integer(index >> step.control & 1));
    return set ? partner<T, Distance>(x) : x;
}

template <class T, int Distance, bool Controlled> void lane_forward(const LaneStep<T>& step, Vector<T>* state) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < step.vectors; ++i) {
        Vector<T> x = Controlled ? lane_cnot<T, Distance>(step, state[i], i) : state[i];
        state[i] = x + step.tangent * partner<T, Distance>(x);
    }
}

// Adds to the gradient as `sweep_backward` does, up to the sign of the lane that `tangent` carries: the caller puts it right.
template <class T, int Distance, bool Controlled>
void lane_backward(const LaneStep<T>& step, Vector<T>* state, Vector<T>* cotangent, Vector<T>& gradient) {
    Vector<T> even{}, odd{};
#pragma GCC unroll 4
    for (std::size_t i = 0; i < step.vectors; ++i) {
        Vector<T> x = state[i], y = cotangent[i], other = partner<T, Distance>(x);
        (i & 1 ? odd : even) += y * other;
        x -= step.tangent * other;
        y -= step.tangent * partner<T, Distance>(y);
        state[i] = Controlled ? lane_cnot<T, Distance>(step, x, i) : x;
        cotangent[i] = Controlled ? lane_cnot<T, Distance>(step, y, i) : y;
    }
    gradient += even + odd;
}

}  // namespace
