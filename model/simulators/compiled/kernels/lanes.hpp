// Vectors of lanes, by GCC's and Clang's vector extensions: one translation unit is compiled per vector width.
//
// A vector holds R rows x A amplitudes, lane = amplitude * R + row. With A = 1 all lanes are rows of the batch and every gate
// works on whole vectors; with A > 1 the lowest bits of an amplitude's index lie inside a vector and are reached by shuffles.
#pragma once

#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>

#ifndef VECTOR_BYTES
#define VECTOR_BYTES 16
#endif

namespace {  // every width has functions of its own: under one name the linker would keep only one width's

template <class T> struct Lanes {
    static constexpr int count = VECTOR_BYTES / sizeof(T);
    typedef T Vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));
    using Mask = decltype(Vector{} < Vector{});
};

template <class T> using Vector = typename Lanes<T>::Vector;
template <class T> using Mask = typename Lanes<T>::Mask;

#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))

// Calls f(0), f(1), ... f(N - 1) with the number known at compile time: loops that the compiler unrolls by itself come too late for it
// to keep an array's elements in registers.
template <int N, class F> INLINE void unrolled(F f) {
    [&]<int... I>(std::integer_sequence<int, I...>) INLINE_LAMBDA { (f(std::integral_constant<int, I>{}), ...); }(std::make_integer_sequence<int, N>{});
}

template <class T> INLINE Vector<T> all(T value) { return Vector<T>{} + value; }

template <class T, int Distance, std::size_t... I> INLINE Vector<T> exchange(Vector<T> x, std::index_sequence<I...>) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(x, x, (I ^ Distance)...);
#else
    return __builtin_shuffle(x, Mask<T>{(I ^ Distance)...});
#endif
}

// Each lane takes the value of the lane `Distance` (a power of two) away.
template <class T, int Distance> INLINE Vector<T> partner(Vector<T> x) {
    return exchange<T, Distance>(x, std::make_index_sequence<Lanes<T>::count>{});
}

// True in the lanes whose number has this bit.
template <class T> INLINE Mask<T> lanes_with(int bit) {
    Mask<T> mask;
    for (int lane = 0; lane < Lanes<T>::count; ++lane) mask[lane] = lane & bit ? -1 : 0;
    return mask;
}

template <class T> INLINE Vector<T> round_to_nearest(Vector<T> x) {
    constexpr T magic = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);  // 1.5 * 2^(bits of the mantissa): sheds the fraction
    Vector<T> shifted = x + magic;
    return shifted - magic;
}

// Sine and cosine of angle / 4, the angle first brought into [-pi, pi]: a whole turn only changes a state's global sign.
// On [-pi/4, pi/4] the Taylor series to the 9th (float) or 17th (double) power leave less than the rounding error.
// An angle so large that its neighbours in this precision are turns away has no sine: not a number, as for infinity.
template <class T> INLINE void quarter_sine_cosine(Vector<T> angle, Vector<T>& sine, Vector<T>& cosine) {
    constexpr T turn_high = sizeof(T) == 4 ? T(6.28125) : T(6.283185303211212158203125);
    constexpr T turn_low = sizeof(T) == 4 ? T(1.93530717958647692e-3) : T(3.968374318722162e-9);
    Vector<T> turns = round_to_nearest<T>(angle * T(0.15915494309189533577));
    Vector<T> x = ((angle - turns * turn_high) - turns * turn_low) * T(0.25);
    x = x * x < T(1) ? x : all<T>(std::numeric_limits<T>::quiet_NaN());
    Vector<T> square = x * x;
    constexpr int terms = sizeof(T) == 4 ? 5 : 9;
    sine = all<T>(1), cosine = all<T>(1);
    for (int n = terms; n >= 1; --n) {  // Horner: 1 - x^2 / (2n (2n+1)) (1 - ...)
        sine = T(1) - square * T(1.0 / (2 * n * (2 * n + 1))) * sine;
        cosine = T(1) - square * T(1.0 / (2 * n * (2 * n - 1))) * cosine;
    }
    sine *= x;
}

}  // namespace
