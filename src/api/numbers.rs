//! Bounded numbers and sizes that several fields share, written as text or number.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::scalars::quantity_schema;
use super::schema::push_rule;

/// An octal file mode as text, since a YAML number would be read as decimal.
pub(super) fn file_mode(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({"type": "string", "maxLength": 4});
    push_rule(&mut schema, "self.matches('^0?[0-7]{3}$')", "must be octal permissions in quotes, such as \"0444\"");
    schema
}

/// A length of time where a rule is over the API server's cost budget: a pattern; `stack` checks that it is at most 24h.
pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 2, "maxLength": 32, "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"})
}

/// A port of a probe: its number, or its name in `ports`.
pub(super) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "maxLength": 15,
        "x-kubernetes-validations": [{
            "rule": "self == string(self) ? string(self).matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') : self >= 1 && self <= 65535",
            "message": "must be a port number (1 to 65535) or the name of one of the service's ports",
        }]
    })
}

/// A count of bytes: no thousandths, no fraction without a unit. `isInteger` of the API server's quantities is no help: it takes `1.5Gi` and `1Pi` for fractions.
const BYTES: &str = "string(self).matches('^([0-9]+|[0-9]*[.]?[0-9]*([KMGTP]i|[kMGTP]|[eE][0-9]+))$')";

/// What a size has to be, in words.
pub const STORAGE: &str = "must be a size from 1Mi to 1Pi, such as '10Gi' (units Ki, Mi, Gi, Ti count in 1024, k, M, G, T in 1000; 'GB' is not one)";

/// Storage: whole bytes above nothing.
pub(super) fn storage(_: &mut SchemaGenerator) -> Schema {
    quantity_schema(
        &format!(
            "{BYTES} && quantity(string(self)).compareTo(quantity('1Mi')) >= 0 && quantity(string(self)).compareTo(quantity('1Pi')) <= 0"
        ),
        STORAGE,
    )
}

/// The same inside a mount: the grammar is a pattern there, since a rule for it is over the API server's cost budget.
pub(super) fn storage_of_mount(_: &mut SchemaGenerator) -> Schema {
    let mut schema = quantity_schema(
        "quantity(string(self)).compareTo(quantity('1Mi')) >= 0 && quantity(string(self)).compareTo(quantity('1Pi')) <= 0",
        STORAGE,
    );
    schema.ensure_object().insert("pattern".into(), "^([0-9]+|[0-9]*[.]?[0-9]*([KMGTP]i|[kMGTP]|[eE][0-9]+))$".into());
    schema
}

/// Processor time.
pub(super) fn cpu(_: &mut SchemaGenerator) -> Schema {
    quantity_schema(
        "(quantity(string(self)).compareTo(quantity('0')) == 0 || quantity(string(self)).compareTo(quantity('1m')) >= 0) && quantity(string(self)).compareTo(quantity('1k')) <= 0",
        "must be a number of cores such as '0.5' or '500m', at least 1m and at most 1000",
    )
}

/// Memory, or local disk.
pub(super) fn memory(_: &mut SchemaGenerator) -> Schema {
    quantity_schema(
        &format!(
            "{BYTES} && (quantity(string(self)).compareTo(quantity('0')) == 0 || quantity(string(self)).compareTo(quantity('1Mi')) >= 0) && quantity(string(self)).compareTo(quantity('100Ti')) <= 0"
        ),
        "must be an amount such as '512Mi' or '2Gi' (units Ki, Mi, Gi count in 1024; 'm' means thousandths and is refused), at least 1Mi and at most 100Ti",
    )
}
