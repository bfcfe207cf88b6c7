//! Finding personal data: from names, types, sampled values and neighbours. Prints no values.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions |
//! | `category.rs` | pure: kinds of personal data |
//! | `checksum.rs` | pure: numbers that prove themselves |
//! | `values.rs` | pure: what one value looks like |
//! | `people.rs` | pure: names of persons |
//! | `names.rs` | pure: what names of tables and columns say, in several languages |
//! | `weigh.rs` | pure: from all the evidence about a table's columns to findings |
//! | `sample.rs` | reading samples |
//! | `findings.rs` | looking through tables, keeping and declaring what was found |

mod api;
mod category;
mod checksum;
mod findings;
mod names;
mod people;
mod sample;
mod values;
mod weigh;
