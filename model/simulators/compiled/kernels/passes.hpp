// One sweep over the state: loads 2^K vectors, applies K steps in registers, stores them; forward, or backwards with its gradient.
//
// RY is applied as [[1, -t], [t, 1]], t = tan(angle / 2): one multiply-add per vector instead of two. The factor cos(angle / 2) is
// left out of the state and kept aside by the caller. Un-applying is the same with -t.
#pragma once

#include <algorithm>

#include "lanes.hpp"
#include "program.hpp"

namespace {

constexpr int NO_BIT = 63;  // no index has it: reads as 0

// A part of the state: vectors first ... first + count - 1, a power of two of them, beginning at a multiple of count. `above`: the bits
// of their index that number the rank.
struct Part {
    std::size_t first, count, above;
};

// A pass over vector bits, resolved: where its targets and their outer controls lie in a vector's index.
struct Sweep {
    int target[3];
    int control[3];    // vector bit outside the pass, or NO_BIT
    int lane_control;  // distance of the lanes that control the first step, or 0
};

// Walks over the vectors of a part whose target bits are 0: next() carries past the target bits, which are kept set while adding.
template <int K> struct Walk {
    std::size_t locals = 0, offset[1 << K], base = 0, high;

    INLINE Walk(const Sweep& sweep, Part part) : high(part.first | part.above) {
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
        for (int k = 0; k < K; ++k) flipped ^= ((base | high) >> sweep.control[k] & 1) << sweep.target[k];
        return flipped;
    }
};

// The first step's CNOT where its control is a lane bit: its target is bit 0 of e.
template <class T, int N> INLINE void exchange_halves(Vector<T> (&x)[N], Mask<T> mask) {
    unrolled<N / 2>([&](auto pair) INLINE_LAMBDA {
        constexpr int e = 2 * pair;
        Vector<T> zero = x[e];
        x[e] = mask ? x[e + 1] : zero;
        x[e + 1] = mask ? zero : x[e + 1];
    });
}

// The pairs of amplitudes that step k of a pass mixes. Where the step is chained, its control is the target of step k - 1: bit k - 1
// of e; where that is set, the CNOT has exchanged the two of the pair.
template <int K, int Chained, bool Back = false, class F> INLINE void over_pairs(F f) {
    unrolled<K>([&](auto step) INLINE_LAMBDA {
        constexpr std::integral_constant<int, Back ? K - 1 - step : step> k{};
        unrolled<(1 << K) / 2>([&](auto pair) INLINE_LAMBDA {
            constexpr int zero = pair % (1 << k) + (pair >> k << (k + 1)), one = zero | 1 << k;
            constexpr bool exchanged = k > 0 && (Chained >> k & 1) && (zero >> (k - 1 + (k == 0)) & 1);
            f(k, std::integral_constant<int, exchanged ? one : zero>{}, std::integral_constant<int, exchanged ? zero : one>{});
        });
    });
}

template <class T, int K, int Chained, bool OnLane>
void sweep_forward(const Sweep& sweep, Part part, Vector<T>* state, const Vector<T>* tangents) {
    using V = Vector<T>;
    constexpr int N = 1 << K;
    V tangent[K], x[N];
    unrolled<K>([&](auto k) INLINE_LAMBDA { tangent[k] = tangents[k]; });
    const Mask<T> mask = OnLane ? lanes_with<T>(sweep.lane_control) : Mask<T>{};
    Walk<K> walk(sweep, part);
    for (std::size_t left = part.count >> K; left; --left, walk.next()) {
        V* at = state + part.first + walk.base;
        const std::size_t flip = walk.flip(sweep);
        unrolled<N>([&](auto e) INLINE_LAMBDA { x[e] = at[walk.offset[e] ^ flip]; });
        if constexpr (OnLane) exchange_halves<T>(x, mask);
        over_pairs<K, Chained>([&](auto k, auto from_zero, auto from_one) INLINE_LAMBDA {
            constexpr int e = std::min<int>(from_zero, from_one), other = std::max<int>(from_zero, from_one);
            V zero = x[from_zero], one = x[from_one];
            x[e] = zero - tangent[k] * one;
            x[other] = one + tangent[k] * zero;
        });
        unrolled<N>([&](auto e) INLINE_LAMBDA { at[walk.offset[e]] = x[e]; });
    }
}

// Un-applies the pass to state and cotangent, and adds to each step's gradient, lane by lane: sum of cotangent' J state over the
// pairs (zero, one) of its target, J = [[0, -1], [1, 0]], the generator of RY.
template <class T, int K, int Chained, bool OnLane>
void sweep_backward(const Sweep& sweep, Part part, Vector<T>* state, Vector<T>* cotangent, const Vector<T>* tangents, Vector<T>* gradients) {
    using V = Vector<T>;
    constexpr int N = 1 << K;
    V tangent[K], plus[K], minus[K], x[N], y[N];
    unrolled<K>([&](auto k) INLINE_LAMBDA { tangent[k] = tangents[k], plus[k] = minus[k] = V{}; });
    const Mask<T> mask = OnLane ? lanes_with<T>(sweep.lane_control) : Mask<T>{};
    Walk<K> walk(sweep, part);
    for (std::size_t left = part.count >> K; left; --left, walk.next()) {
        V* at = state + part.first + walk.base;
        V* at_cotangent = cotangent + part.first + walk.base;
        unrolled<N>([&](auto e) INLINE_LAMBDA { x[e] = at[walk.offset[e]], y[e] = at_cotangent[walk.offset[e]]; });
        over_pairs<K, Chained, true>([&](auto k, auto to_zero, auto to_one) INLINE_LAMBDA {
            constexpr int e = std::min<int>(to_zero, to_one), other = std::max<int>(to_zero, to_one);
            V zero = x[e], one = x[other], zero_y = y[e], one_y = y[other];
            plus[k] += one_y * zero;
            minus[k] += zero_y * one;
            x[to_zero] = zero + tangent[k] * one;
            x[to_one] = one - tangent[k] * zero;
            y[to_zero] = zero_y + tangent[k] * one_y;
            y[to_one] = one_y - tangent[k] * zero_y;
        });
        if constexpr (OnLane) exchange_halves<T>(x, mask), exchange_halves<T>(y, mask);
        const std::size_t flip = walk.flip(sweep);
        unrolled<N>([&](auto e) INLINE_LAMBDA { at[walk.offset[e] ^ flip] = x[e], at_cotangent[walk.offset[e] ^ flip] = y[e]; });
    }
    unrolled<K>([&](auto k) INLINE_LAMBDA { gradients[k] += plus[k] - minus[k]; });
}

// A step whose target is a lane bit: the other half of each pair is a partner lane of the same vector.
template <class T> struct LaneStep {
    int control;     // vector bit, or NO_BIT
    Mask<T> mask;    // lanes whose control bit, a lane bit, is set
    Vector<T> sign;  // -1 in the lanes where the target is 0, 1 where it is 1
};

template <class T, int Distance> INLINE Vector<T> lane_cnot(const LaneStep<T>& step, Vector<T> x, std::size_t index) {
    using Integer = typename std::remove_reference<decltype(step.mask[0])>::type;
    const Mask<T> set = step.mask | (Mask<T>{} - Integer(index >> step.control & 1));
    return set ? partner<T, Distance>(x) : x;
}

template <class T, int Distance, bool Controlled> void lane_forward(const LaneStep<T>& step, Part part, Vector<T>* state, Vector<T> tangent) {
    const Vector<T> signed_tangent = step.sign * tangent;
#pragma GCC unroll 4
    for (std::size_t i = part.first; i < part.first + part.count; ++i) {
        Vector<T> x = Controlled ? lane_cnot<T, Distance>(step, state[i], i | part.above) : state[i];
        state[i] = x + signed_tangent * partner<T, Distance>(x);
    }
}

// Un-applies the step and adds to its gradient as `sweep_backward` does.
template <class T, int Distance, bool Controlled>
void lane_backward(const LaneStep<T>& step, Part part, Vector<T>* state, Vector<T>* cotangent, Vector<T> tangent, Vector<T>& gradient) {
    const Vector<T> signed_tangent = step.sign * tangent;
    Vector<T> even{}, odd{};
#pragma GCC unroll 4
    for (std::size_t i = part.first; i < part.first + part.count; ++i) {
        Vector<T> x = state[i], y = cotangent[i], other = partner<T, Distance>(x);
        (i & 1 ? odd : even) += y * other;
        x -= signed_tangent * other;
        y -= signed_tangent * partner<T, Distance>(y);
        state[i] = Controlled ? lane_cnot<T, Distance>(step, x, i | part.above) : x;
        cotangent[i] = Controlled ? lane_cnot<T, Distance>(step, y, i | part.above) : y;
    }
    gradient += step.sign * (even + odd);
}

}  // namespace
