//! Numbers as Java writes them.

use std::fmt::LowerExp;

/// As `Double.toString`: plain from 10⁻³ to 10⁷, scientific elsewhere, the fewest digits that tell the
/// number from its neighbours.
pub(crate) fn double(number: f64) -> String {
    java(
        number,
        number.is_nan(),
        number.is_infinite(),
        number.is_sign_negative(),
    )
}

/// As `Float.toString`.
pub(crate) fn float(number: f32) -> String {
    java(
        number,
        number.is_nan(),
        number.is_infinite(),
        number.is_sign_negative(),
    )
}

fn java(number: impl LowerExp, is_nan: bool, is_infinite: bool, is_negative: bool) -> String {
    let sign = if is_negative { "-" } else { "" };
    if is_nan {
        return "NaN".to_owned();
    }
    if is_infinite {
        return format!("{sign}Infinity");
    }
    let scientific = format!("{number:e}");
    let scientific = scientific.trim_start_matches('-');
    let (digits, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = digits.chars().filter(|c| *c != '.').collect();
    if digits == "0" {
        return format!("{sign}0.0");
    }
    if !(-3..7).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { "0" } else { rest };
        return format!("{sign}{first}.{rest}E{exponent}");
    }
    format!("{sign}{}", plain(&digits, exponent))
}

/// The digits with the point after the first `exponent + 1` of them.
fn plain(digits: &str, exponent: i32) -> String {
    let Ok(whole) = usize::try_from(exponent) else {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        return format!("0.{zeros}{digits}");
    };
    match digits.split_at_checked(whole + 1) {
        Some((whole, "")) => format!("{whole}.0"),
        Some((whole, rest)) => format!("{whole}.{rest}"),
        None => format!("{digits}{}.0", "0".repeat(whole + 1 - digits.len())),
    }
}

/// As `BigDecimal.toPlainString`.
pub(crate) fn decimal(unscaled: i128, scale: u8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    match rest {
        "" => format!("{sign}{whole}"),
        rest => format!("{sign}{whole}.{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_by_java() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1628.25, "-1628.25"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.234e10, "1.234E10"),
            (123_456.0, "123456.0"),
            (5e-324, "5.0E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(number), text);
        }
        assert_eq!(float(0.1), "0.1");
        assert_eq!(float(1.0e-5), "1.0E-5");
        assert_eq!(float(16_777_216.0), "1.6777216E7");
    }

    #[test]
    fn decimals_keep_their_scale() {
        assert_eq!(decimal(150, 2), "1.50");
        assert_eq!(decimal(-5, 3), "-0.005");
        assert_eq!(decimal(7, 0), "7");
        assert_eq!(decimal(0, 18), "0.000000000000000000");
        let most = 10_i128.pow(38) - 1;
        assert_eq!(decimal(-most, 38), format!("-0.{}", "9".repeat(38)));
    }
}
