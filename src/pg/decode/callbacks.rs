//! The C callbacks: each is one guarded call of the plugin.

use super::super::lookup::string_from;
use super::super::memory::OwnedContext;
use super::relation::Relation;
use super::sink::Sink;
use super::transaction::{Change, Transaction};
use super::{Boundary, Decoder, Features, Message, Plugin, Truncation, stale};
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::{ErrorReport, pgrx_extern_c_guard};
use pgrx::prelude::*;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;

type Context = *mut pg_sys::LogicalDecodingContext;
type Txn = *mut pg_sys::ReorderBufferTXN;
type RawChange = *mut pg_sys::ReorderBufferChange;

/// Fills in every callback PostgreSQL has.
pub fn fill<P: Plugin>(callbacks: *mut pg_sys::OutputPluginCallbacks) {
    // SAFETY: PostgreSQL passes a zeroed struct of its own.
    let callbacks = unsafe { &mut *callbacks };
    callbacks.startup_cb = Some(startup::<P>);
    callbacks.filter_by_origin_cb = Some(filter_by_origin::<P>);
    callbacks.begin_cb = Some(begin::<P>);
    callbacks.change_cb = Some(change::<P>);
    callbacks.truncate_cb = Some(truncate::<P>);
    callbacks.message_cb = Some(message::<P>);
    callbacks.commit_cb = Some(commit::<P>);
    callbacks.begin_prepare_cb = Some(begin_prepare::<P>);
    callbacks.prepare_cb = Some(prepare::<P>);
    callbacks.commit_prepared_cb = Some(commit_prepared::<P>);
    callbacks.rollback_prepared_cb = Some(rollback_prepared::<P>);
    callbacks.stream_start_cb = Some(stream_start::<P>);
    callbacks.stream_stop_cb = Some(stream_stop::<P>);
    callbacks.stream_abort_cb = Some(stream_abort::<P>);
    callbacks.stream_prepare_cb = Some(stream_prepare::<P>);
    callbacks.stream_commit_cb = Some(stream_commit::<P>);
    callbacks.stream_change_cb = Some(change::<P>);
    callbacks.stream_truncate_cb = Some(truncate::<P>);
    callbacks.stream_message_cb = Some(message::<P>);
}

unsafe extern "C-unwind" fn startup<P: Plugin>(
    context: Context,
    options: *mut pg_sys::OutputPluginOptions,
    _is_init: bool,
) {
    // SAFETY: a callback's frame owns nothing; the context lives until decoding ends, and with it what is
    // registered to be dropped then, after an error too.
    unsafe {
        pgrx_extern_c_guard(|| {
            (*options).output_type = pg_sys::OutputPluginOutputType::OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
            (*options).receive_rewrites = false;
            let mut features = Features::default();
            let plugin = match read_options(context).and_then(|o| P::start(&o, &mut features)) {
                Ok(plugin) => plugin,
                Err(error) => {
                    ErrorReport::from(error).report(PgLogLevel::ERROR);
                    unreachable!()
                }
            };
            (*context).streaming &= features.streaming;
            stale::listen();
            let row = OwnedContext::roomy(c"db_architect decoded row");
            let decoder = Box::into_raw(Box::new(Decoder { plugin, row, silent: 0 }));
            (*context).output_plugin_private = decoder.cast();
            let callback: *mut pg_sys::MemoryContextCallback = pg_sys::MemoryContextAllocZero(
                (*context).context,
                size_of::<pg_sys::MemoryContextCallback>(),
            )
            .cast();
            (*callback).func = Some(forget::<P>);
            (*callback).arg = decoder.cast();
            pg_sys::MemoryContextRegisterResetCallback((*context).context, callback);
        })
    }
}

unsafe extern "C-unwind" fn forget<P: Plugin>(decoder: *mut std::ffi::c_void) {
    // SAFETY: made by `startup`, called once, when the decoding context's memory goes.
    drop(unsafe { Box::from_raw(decoder.cast::<Decoder<P>>()) });
}

/// # Safety
/// The context of a running callback.
unsafe fn read_options(context: Context) -> Result<Vec<(String, Option<String>)>> {
    let mut options = Vec::new();
    // SAFETY: null or a list of DefElem whose argument is null or a string.
    unsafe {
        let list = (*context).output_plugin_options;
        let length = if list.is_null() { 0 } else { (*list).length as usize };
        for i in 0..length {
            let element: *mut pg_sys::DefElem = (*(*list).elements.add(i)).ptr_value.cast();
            let name = string_from((*element).defname);
            let value = match (*element).arg {
                argument if argument.is_null() => None,
                argument if (*argument).type_ == pg_sys::NodeTag::T_String => {
                    Some(string_from(pg_sys::defGetString(element)))
                }
                _ => {
                    return Err(Error::invalid_parameter(format!("option \"{name}\" must be a string")));
                }
            };
            options.push((name, value));
        }
    }
    Ok(options)
}

/// Calls the plugin, with the row's memory as the current one, and empties that afterwards.
///
/// # Safety
/// The context of a running callback, started by `startup::<P>`.
unsafe fn call<P: Plugin>(context: Context, work: impl FnOnce(&mut P, &mut Sink)) {
    // SAFETY: the caller's promise; callbacks do not nest; the guard's frame owns nothing that an error
    // leaves behind, as the decoder belongs to the context.
    unsafe {
        pgrx_extern_c_guard(|| {
            let decoder = &mut *(*context).output_plugin_private.cast::<Decoder<P>>();
            let mut sink = Sink { context, silent: &mut decoder.silent };
            let plugin = &mut decoder.plugin;
            decoder.row.within(|| work(plugin, &mut sink));
            decoder.row.reset();
        })
    }
}

fn transaction<'a>(raw: Txn) -> Transaction<'a> {
    Transaction { raw, _lifetime: PhantomData }
}

unsafe extern "C-unwind" fn filter_by_origin<P: Plugin>(
    context: Context,
    origin: pg_sys::RepOriginId,
) -> bool {
    // SAFETY: the context of a running callback; reads the plugin.
    unsafe {
        let decoder = (*context).output_plugin_private.cast::<Decoder<P>>();
        !decoder.is_null() && !(*decoder).plugin.wants_origin(origin)
    }
}

unsafe extern "C-unwind" fn change<P: Plugin>(
    context: Context,
    txn: Txn,
    relation: pg_sys::Relation,
    change: RawChange,
) {
    // SAFETY: what PostgreSQL passes to the callback is valid while it runs.
    unsafe {
        call::<P>(context, |plugin, sink| {
            if let Some(change) = Change::new(change, relation) {
                let relation = Relation { raw: relation, _lifetime: PhantomData };
                plugin.change(&transaction(txn), &relation, &change, sink);
            }
        })
    }
}

unsafe extern "C-unwind" fn truncate<P: Plugin>(
    context: Context,
    txn: Txn,
    count: std::ffi::c_int,
    relations: *mut pg_sys::Relation,
    change: RawChange,
) {
    // SAFETY: as above; `relations` has `count` entries, and the union holds how TRUNCATE was asked for.
    unsafe {
        call::<P>(context, |plugin, sink| {
            let relations: Vec<Relation> = (0..count as usize)
                .map(|i| Relation { raw: *relations.add(i), _lifetime: PhantomData })
                .collect();
            let asked = (*change).data.truncate;
            let truncation = Truncation {
                cascade: asked.cascade,
                restart_identity: asked.restart_seqs,
                lsn: (*change).lsn,
                subtransaction: (*(*change).txn).xid.into(),
            };
            plugin.truncate(&transaction(txn), &relations, truncation, sink);
        })
    }
}

unsafe extern "C-unwind" fn message<P: Plugin>(
    context: Context,
    txn: Txn,
    lsn: pg_sys::XLogRecPtr,
    transactional: bool,
    prefix: *const c_char,
    size: pg_sys::Size,
    content: *const c_char,
) {
    // SAFETY: as above; a nul-terminated prefix and `size` bytes of content. A message that is not
    // transactional comes without a transaction worth naming.
    unsafe {
        call::<P>(context, |plugin, sink| {
            let within = (transactional && !txn.is_null()).then(|| transaction(txn));
            let message = Message {
                prefix: CStr::from_ptr(prefix).to_bytes(),
                content: std::slice::from_raw_parts(content.cast(), size),
                subtransaction: within.as_ref().map(|_| (*txn).xid.into()),
                lsn,
            };
            plugin.message(within.as_ref(), &message, sink);
        })
    }
}

/// Defines a callback that only tells where a transaction stands.
macro_rules! boundaries {
    ($($name:ident($boundary:ident $(, $lsn:ident)? $(; $unused:ident: $type:ty)*);)*) => {$(
        unsafe extern "C-unwind" fn $name<P: Plugin>(
            context: Context,
            txn: Txn,
            $($lsn: pg_sys::XLogRecPtr,)?
            $($unused: $type,)*
        ) {
            $(let _ = $unused;)*
            let lsn = 0 $(+ $lsn)?;
            // SAFETY: what PostgreSQL passes to the callback is valid while it runs.
            unsafe {
                call::<P>(context, |plugin, sink| {
                    plugin.boundary(Boundary::$boundary, &transaction(txn), lsn, sink)
                })
            }
        }
    )*};
}

boundaries! {
    begin(Begin);
    begin_prepare(BeginPrepare);
    commit(Commit, lsn);
    prepare(Prepare, lsn);
    commit_prepared(CommitPrepared, lsn);
    rollback_prepared(RollbackPrepared, lsn; _time: pg_sys::TimestampTz);
    stream_start(StreamStart);
    stream_stop(StreamStop);
    stream_abort(StreamAbort, lsn);
    stream_prepare(StreamPrepare, lsn);
    stream_commit(StreamCommit, lsn);
}
