//! The arithmetic of the verdict. That it sees what is wrong, the live tests show by what they once failed on.

use serde_json::json;

use super::pods::quantity;

#[test]
fn quantities_are_numbers() {
    let close = |text: &str, number: f64| assert!((quantity(&json!(text)) - number).abs() < 1e-9, "{text}");
    close("500m", 0.5);
    close("2", 2.0);
    close("0.25", 0.25);
    close("1Gi", 1_073_741_824.0);
    close("512Mi", 536_870_912.0);
    assert!(quantity(&serde_json::Value::Null).abs() < 1e-9);
}
