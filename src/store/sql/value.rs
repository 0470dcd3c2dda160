//! What goes into a statement and comes out of a row, whichever database runs it.

use std::borrow::Cow;
use std::error::Error as StdError;

use bytes::BytesMut;
use postgres::types::{IsNull, Type};
use rusqlite::types::{ToSqlOutput, ValueRef};

/// Why a statement failed, or a row could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{1}")]
    Postgres(#[source] postgres::Error, PostgresWords),
    #[error("the database knows no such row")]
    NoRow,
    #[error("column {column} does not hold what it should")]
    Unreadable { column: usize, source: Box<dyn StdError + Send + Sync> },
    #[error("a value cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
    #[error("{0}")]
    Unavailable(String),
}

/// What PostgreSQL said: its driver's own message leaves that to the error's source.
#[derive(Debug)]
pub(crate) struct PostgresWords(String);

impl std::fmt::Display for PostgresWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        let words = match error.as_db_error() {
            Some(said) => format!("PostgreSQL said: {} ({})", said.message(), said.code().code()),
            None => "PostgreSQL cannot be asked (does it run, is store.url right?)".to_owned(),
        };
        Self::Postgres(error, PostgresWords(words))
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A value of a statement. Truth is 0 or 1, time is milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'v> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'v, str>),
    Blob(Cow<'v, [u8]>),
}

impl From<i64> for Value<'_> {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// What can be a value of a statement.
pub(crate) trait ToValue {
    fn to_value(&self) -> Value<'_>;
}

macro_rules! integers {
    ($($integer:ty),+) => {
        $(impl ToValue for $integer {
            fn to_value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        })+
    };
}

integers!(i64, u32, u8, bool);

impl ToValue for f64 {
    fn to_value(&self) -> Value<'_> {
        Value::Real(*self)
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self.into())
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self.as_str().into())
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self.into())
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        self.as_slice().to_value()
    }
}

impl ToValue for Value<'_> {
    fn to_value(&self) -> Value<'_> {
        self.clone()
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

/// The values of one statement, in the order of `?1`, `?2`, …
pub(crate) trait Params {
    fn values(&self) -> Vec<Value<'_>>;
}

impl Params for () {
    fn values(&self) -> Vec<Value<'_>> {
        Vec::new()
    }
}

impl<A: ToValue, B: ToValue, C: ToValue> Params for (A, B, C) {
    fn values(&self) -> Vec<Value<'_>> {
        vec![self.0.to_value(), self.1.to_value(), self.2.to_value()]
    }
}

impl Params for &[&dyn ToValue] {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(|value| value.to_value()).collect()
    }
}

impl<T: ToValue, const N: usize> Params for [T; N] {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(ToValue::to_value).collect()
    }
}

impl<T: ToValue> Params for Option<T> {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(ToValue::to_value).collect()
    }
}

impl<T: ToValue> Params for Vec<T> {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(ToValue::to_value).collect()
    }
}

/// The values of one statement, of as many types as it takes.
macro_rules! params {
    ($($value:expr),+ $(,)?) => {
        &[$(&$value as &dyn $crate::store::sql::value::ToValue),+] as &[&dyn $crate::store::sql::value::ToValue]
    };
}
pub(crate) use params;

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl postgres::types::ToSql for Value<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(integer) if *of == Type::INT4 => i32::try_from(*integer)?.to_sql(of, out),
            Self::Integer(integer) => integer.to_sql(of, out),
            Self::Real(real) => real.to_sql(of, out),
            // The one character that PostgreSQL keeps in no text, and GitHub may send.
            Self::Text(text) if text.contains('\0') => text.replace('\0', "\u{fffd}").to_sql(of, out),
            Self::Text(text) => text.as_ref().to_sql(of, out),
            Self::Blob(bytes) => bytes.as_ref().to_sql(of, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each statement is run by the conformance suite: a value of the wrong kind is refused by the database.
        true
    }

    postgres::types::to_sql_checked!();
}

/// A row of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r postgres::Row),
}

/// What can be read out of a column.
pub(crate) trait FromColumn: Sized {
    fn read(row: Row<'_>, column: usize) -> Result<Self>;
}

impl<'r> Row<'r> {
    /// The value of a column, counted from 0.
    pub(crate) fn get<T: FromColumn>(&self, column: usize) -> Result<T> {
        T::read(*self, column)
    }

    /// The text of a column, without a copy; `None` where it is null.
    pub(crate) fn text_or_null(&self, column: usize) -> Result<Option<&'r str>> {
        match self {
            Self::Sqlite(row) => row.get_ref(column)?.as_str_or_null().map_err(|error| unreadable(column, error)),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// The text of a column, without a copy.
    pub(crate) fn text(&self, column: usize) -> Result<&'r str> {
        self.text_or_null(column)?.ok_or_else(|| unreadable(column, "there is no text"))
    }

    /// The value of a column, whatever it is.
    pub(crate) fn value(&self, column: usize) -> Result<Value<'static>> {
        if self.is_null(column)? {
            return Ok(Value::Null);
        }
        let kind = match self {
            Self::Sqlite(row) => row.get_ref(column)?.data_type(),
            Self::Postgres(row) => match *row.columns()[column].type_() {
                Type::INT8 | Type::INT4 => rusqlite::types::Type::Integer,
                Type::FLOAT8 => rusqlite::types::Type::Real,
                Type::BYTEA => rusqlite::types::Type::Blob,
                _ => rusqlite::types::Type::Text,
            },
        };
        Ok(match kind {
            rusqlite::types::Type::Null => Value::Null,
            rusqlite::types::Type::Integer => Value::Integer(self.get(column)?),
            rusqlite::types::Type::Real => Value::Real(self.get(column)?),
            rusqlite::types::Type::Text => Value::Text(self.get::<String>(column)?.into()),
            rusqlite::types::Type::Blob => Value::Blob(self.get::<Vec<u8>>(column)?.into()),
        })
    }

    /// Whether a column is null.
    pub(crate) fn is_null(&self, column: usize) -> Result<bool> {
        match self {
            Self::Sqlite(row) => Ok(row.get_ref(column)? == ValueRef::Null),
            Self::Postgres(row) => Ok(row.try_get::<_, Option<Anything>>(column)?.is_none()),
        }
    }
}

/// A column's value of whatever type, unread.
struct Anything;

impl<'r> postgres::types::FromSql<'r> for Anything {
    fn from_sql(_: &Type, _: &'r [u8]) -> std::result::Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

macro_rules! columns {
    ($($as_kept:ty),+) => {
        $(impl FromColumn for $as_kept {
            fn read(row: Row<'_>, column: usize) -> Result<Self> {
                match row {
                    Row::Sqlite(row) => Ok(row.get(column)?),
                    Row::Postgres(row) => Ok(row.try_get(column)?),
                }
            }
        })+
    };
}

columns!(i32, i64, f64, String, Vec<u8>);

impl FromColumn for u32 {
    fn read(row: Row<'_>, column: usize) -> Result<Self> {
        let kept: i64 = row.get(column)?;
        Self::try_from(kept).map_err(|error| unreadable(column, error))
    }
}

impl FromColumn for bool {
    fn read(row: Row<'_>, column: usize) -> Result<Self> {
        match row {
            // What a statement answers by itself, as EXISTS does, is a truth of PostgreSQL's own.
            Row::Postgres(row) if *row.columns()[column].type_() == Type::BOOL => Ok(row.try_get(column)?),
            row => Ok(row.get::<i64>(column)? != 0),
        }
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn read(row: Row<'_>, column: usize) -> Result<Self> {
        if row.is_null(column)? { Ok(None) } else { T::read(row, column).map(Some) }
    }
}

/// A column that does not hold what it should.
pub(crate) fn unreadable(column: usize, error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::Unreadable { column, source: error.into() }
}
