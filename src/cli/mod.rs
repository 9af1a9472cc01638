//! The commands of the `appstack` program, one file each.
pub mod document;
pub mod field;
pub mod findings;
pub mod render;
pub mod run;
pub mod scalar;
pub mod schema;
pub mod source;
pub mod status;
mod table;
pub mod validate;
