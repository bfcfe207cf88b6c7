//! What an operator is to a btree, and parameters.

use super::Kind;
use super::keys::bare;
use crate::pg::lookup::string_from;
use crate::pg::nodes::is;
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

pub(super) unsafe fn extern_parameter(node: *mut pg_sys::Node) -> Option<usize> {
    // SAFETY: nodes are what their tags say.
    unsafe {
        let node = bare(node);
        if !is(node, NodeTag::T_Param) {
            return None;
        }
        let parameter = node.cast::<pg_sys::Param>();
        ((*parameter).paramkind == pg_sys::ParamKind::PARAM_EXTERN).then_some((*parameter).paramid as usize)
    }
}

/// The operator's number in btree's default operator class of the type; zero where it is not there.
pub(super) fn strategy(operator: pg_sys::Oid, type_oid: pg_sys::Oid) -> u32 {
    // SAFETY: syscache look-ups.
    unsafe {
        let class = pg_sys::GetDefaultOpClass(type_oid, pg_sys::BTREE_AM_OID);
        if class == pg_sys::InvalidOid {
            return 0;
        }
        pg_sys::get_op_opfamily_strategy(operator, pg_sys::get_opclass_family(class)) as u32
    }
}

/// What btree's default operator class of the type calls the operator.
pub(super) fn kind_of(operator: pg_sys::Oid, type_oid: pg_sys::Oid) -> Kind {
    match strategy(operator, type_oid) {
        pg_sys::BTEqualStrategyNumber => return Kind::Equal,
        0 => {}
        _ => return Kind::Range,
    }
    // SAFETY: returns null or a palloc'd string.
    unsafe {
        let name = pg_sys::get_opname(operator);
        if !name.is_null() && ["~~", "~~*", "~", "~*", "^@"].contains(&string_from(name).as_str()) {
            return Kind::Pattern;
        }
    }
    Kind::Other
}

pub(super) fn is_descending(operator: pg_sys::Oid) -> bool {
    let (mut family, mut type_oid) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: a catalogue look-up that fills its arguments.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        let mut strategy: i16 = 0;
        #[cfg(feature = "pg18")]
        let mut strategy: pg_sys::CompareType::Type = 0;
        if operator == pg_sys::InvalidOid
            || !pg_sys::get_ordering_op_properties(operator, &mut family, &mut type_oid, &mut strategy)
        {
            return false;
        }
        i64::from(strategy) == i64::from(pg_sys::BTGreaterStrategyNumber)
    }
}
