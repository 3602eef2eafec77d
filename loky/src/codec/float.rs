//! `f32` to `f64` and back with all bits of a NaN.
//!
//! Ciborium writes an `f32` as an `f64` and shortens that as far as it is lossless, so an `f64` keeps all its bits.
//! But the cast from `f32` makes a signalling NaN quiet, so NaNs are converted by hand here, both ways. It must
//! never touch a number. Tested with the extremes of both types.

const F32_SIGN: u32 = 1 << 31;
const F32_EXPONENT: u32 = 0xff << 23;
const F32_QUIET: u32 = 1 << 22;
const F32_PAYLOAD: u32 = (1 << 23) - 1;
const F64_EXPONENT: u64 = 0x7ff << 52;
/// The number of additional bits, at the low end, in the payload of an `f64`.
const MORE_PAYLOAD_BITS: u32 = 52 - 23;

#[inline]
pub(super) fn widen(value: f32) -> f64 {
    if !value.is_nan() {
        return f64::from(value);
    }
    let bits = value.to_bits();
    let sign = u64::from(bits & F32_SIGN) << 32;
    let payload = u64::from(bits & F32_PAYLOAD) << MORE_PAYLOAD_BITS;
    f64::from_bits(sign | F64_EXPONENT | payload)
}

/// The `f32` that was widened to the NaN `value`; for another NaN a close one.
pub(super) fn narrow_nan(value: f64) -> f32 {
    let bits = value.to_bits();
    let sign = (bits >> 32) as u32 & F32_SIGN;
    let payload = match (bits >> MORE_PAYLOAD_BITS) as u32 & F32_PAYLOAD {
        0 => F32_QUIET, // Without any payload it would be an infinity.
        payload => payload,
    };
    f32::from_bits(sign | F32_EXPONENT | payload)
}
