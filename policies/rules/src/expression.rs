//! Expressions in CEL (cel.dev), where a table cannot say it: conditions and amounts.

use std::cell::Cell;

use cel::common::ast::{EntryExpr, Expr};
use cel::common::types::{CelInt, CelList, CelString};
use cel::common::value::Val;
use cel::parser::PrattParser;
use cel::{Context, ExecutionError, IdedExpr, Value};
use issuecommand_policy::{Score, log};

use crate::row::Row;
use crate::words::Field;

/// Longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1000;
/// How deep an expression may nest, once its macros are written out. A policy's stack holds this several
/// times over: tests/policies tries it.
const EXPRESSION_DEPTH_MAX: usize = 24;
/// The same while it is read: macros are not written out yet.
const PARSE_DEPTH_MAX: u16 = 32;
/// Most parts of an expression.
const EXPRESSION_NODE_COUNT_MAX: usize = 500;

/// The names that an expression may use, and the facts behind them. Numbers are whole.
pub const VARIABLES: [(&str, Field); 17] = [
    ("age_days", Field::AgeDays),
    ("approval", Field::Approval),
    ("areas", Field::Area),
    ("assignees", Field::Assignee),
    ("author", Field::Author),
    ("author_association", Field::AuthorAssociation),
    ("blocked_by", Field::BlockedBy),
    ("body", Field::Body),
    ("comments", Field::Comments),
    ("idle_days", Field::IdleDays),
    ("labels", Field::Label),
    ("milestone", Field::Milestone),
    ("reactions", Field::Reactions),
    ("repo", Field::Repo),
    ("reviewers", Field::Reviewer),
    ("title", Field::Title),
    ("topics", Field::Topic),
];

/// Names of types, which expressions may compare with: `type(x) == int`.
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The values that the expressions of a table are about, by name.
pub type Scope<'v> = Context<'v, 'v>;

/// A name that expressions use, and the fact behind it.
pub type Variable = (&'static str, Field);

/// A new scope with the functions of the language, which are built once.
fn scope<'v>() -> Scope<'v> {
    thread_local!(static LANGUAGE: &'static Context<'static, 'static> = Box::leak(Box::default()));
    LANGUAGE.with(|language| language.new_inner_scope())
}

/// The facts of a candidate, as GitHub spells them, under the names that a table uses.
pub fn scope_of<'v>(row: &Row<'v>, variables: &[Variable]) -> Scope<'v> {
    let mut scope = scope();
    for (name, field) in variables {
        scope.add_variable_as_val(*name, value_of(row, *field));
    }
    scope
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    code: IdedExpr,
    text: String,
    /// Where it stands in the settings.
    key: String,
    variables: Vec<Variable>,
    /// Whether its failure was logged already.
    complained: Cell<bool>,
}

/// What an expression must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// True or false.
    Truth,
    /// A number, whole or not.
    Number,
}

impl Expression {
    /// Compiles the expression found at `key` of the settings.
    ///
    /// # Errors
    /// What is wrong with it, naming the key: it cannot be read, is too long or too deep, uses names that do
    /// not exist, or gives something else.
    pub fn compile(text: &str, gives: Gives, key: String) -> Result<Self, String> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(format!("{key}: {} bytes, at most {EXPRESSION_BYTES_MAX} are allowed", text.len()));
        }
        let parser = PrattParser::new()
            .max_recursion_depth(PARSE_DEPTH_MAX)
            .max_expression_node_count(EXPRESSION_NODE_COUNT_MAX);
        let code = parser.parse(text).map_err(|errors| format!("{key}: no CEL expression: {}", first_line(&errors)))?;
        if is_deeper_than(&code, EXPRESSION_DEPTH_MAX) {
            return Err(format!("{key}: it nests deeper than {EXPRESSION_DEPTH_MAX} levels; make it simpler"));
        }
        let variables = used_variables(&code).map_err(|why| format!("{key}: {why}"))?;
        let expression = Self { code, text: text.to_owned(), key, variables, complained: Cell::new(false) };
        expression.try_on_nothing(gives)?;
        Ok(expression)
    }

    /// The names that it uses.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds. One that fails does not, and says so once in the log.
    pub fn holds(&self, row: &Row<'_>, score: &mut Score<'_>) -> bool {
        match self.evaluate(row, score) {
            Some(Value::Bool(truth)) => truth,
            Some(_) => self.complain("it gives neither true nor false"),
            None => false,
        }
    }

    /// The number it gives. One that fails gives 0, and says so once in the log.
    pub fn number(&self, row: &Row<'_>, score: &mut Score<'_>) -> f64 {
        let number = self.evaluate(row, score).map(|value| as_number(&value).filter(|number| number.is_finite()));
        match number {
            Some(Some(number)) => number,
            Some(None) => {
                self.complain("it gives no finite number");
                0.0
            }
            None => 0.0,
        }
    }

    fn evaluate(&self, row: &Row<'_>, score: &mut Score<'_>) -> Option<Value> {
        for (_, field) in self.variables.iter().filter(|(_, field)| field.is_time()) {
            score.valid_until(row.amount(*field).1);
        }
        row.scope().resolve(&self.code).map_err(|error| self.complain(&first_line(&error))).ok()
    }

    /// Tries it on an issue of which nothing is known. That fails for many a good expression, but two faults
    /// show whatever the issue: types that do not fit, and the wrong kind of result.
    fn try_on_nothing(&self, gives: Gives) -> Result<(), String> {
        let key = &self.key;
        let mut nothing = scope();
        for (name, field) in &self.variables {
            nothing.add_variable_as_val(*name, nothing_of(*field));
        }
        match nothing.resolve(&self.code) {
            Ok(Value::Bool(_)) if gives == Gives::Truth => Ok(()),
            Ok(value) if gives == Gives::Number && as_number(&value).is_some() => Ok(()),
            Ok(_) if gives == Gives::Truth => Err(format!("{key}: it gives neither true nor false")),
            Ok(_) => Err(format!("{key}: it gives no number")),
            Err(error @ (ExecutionError::NoSuchOverload(_) | ExecutionError::UnsupportedBinaryOperator(..))) => {
                Err(format!(
                    "{key}: {}. Whole numbers and fractions do not mix: double(comments) * 0.5",
                    first_line(&error)
                ))
            }
            Err(error @ ExecutionError::UndeclaredReference(_)) => Err(format!("{key}: {}", first_line(&error))),
            Err(_) => Ok(()),
        }
    }

    /// Says once for each instance of the policy that this expression fails. Gives `false`.
    fn complain(&self, why: &str) -> bool {
        if !self.complained.replace(true) {
            log::warn(&format!("{} does not count where it fails: {why}", self.key));
        }
        false
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::UInt(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

fn text<'v>(text: &'v str) -> Box<dyn Val + 'v> {
    Box::new(CelString::from(text))
}

fn list<'v>(texts: impl Iterator<Item = &'v str>) -> Box<dyn Val + 'v> {
    Box::new(CelList::from(texts.map(text).collect::<Vec<_>>()))
}

fn value_of<'v>(row: &Row<'v>, field: Field) -> Box<dyn Val + 'v> {
    let candidate = row.candidate();
    match field {
        Field::Label => list(candidate.labels()),
        Field::Assignee => list(candidate.assignees()),
        Field::Topic => list(candidate.topics()),
        Field::BlockedBy => list(candidate.open_blockers()),
        Field::Area => list(candidate.areas()),
        Field::Reviewer => list(candidate.reviewers()),
        Field::Title => text(candidate.title()),
        Field::Body => text(row.body_read()),
        Field::Author => text(candidate.author()),
        Field::AuthorAssociation => text(candidate.author_association()),
        Field::Milestone => text(candidate.milestone()),
        Field::Repo => text(candidate.repo()),
        Field::Approval => text(candidate.approval()),
        Field::Comments | Field::Reactions | Field::AgeDays | Field::IdleDays => {
            Box::new(CelInt::from(row.amount(field).0 as i64))
        }
    }
}

/// The same of an issue of which nothing is known.
fn nothing_of(field: Field) -> Box<dyn Val + 'static> {
    match field {
        Field::Label | Field::Assignee | Field::Topic | Field::BlockedBy | Field::Area | Field::Reviewer => {
            list(std::iter::empty())
        }
        field if field.is_number() => Box::new(CelInt::from(0)),
        _ => text(""),
    }
}

/// The first line of a message, without the drawing that follows.
fn first_line(message: &impl ToString) -> String {
    message.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// What one part of an expression consists of.
fn parts(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(it) => {
            vec![&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(it) => it.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// Whether `code` nests deeper than `most`. Itself no deeper than that.
fn is_deeper_than(code: &IdedExpr, most: usize) -> bool {
    most == 0 || parts(&code.expr).into_iter().any(|part| is_deeper_than(part, most - 1))
}

/// The facts that `code` uses, in the order of their names. The depth of `code` has been checked.
fn used_variables(code: &IdedExpr) -> Result<Vec<Variable>, String> {
    let mut used = Vec::new();
    collect_variables(code, &mut Vec::new(), &mut used)?;
    used.sort_unstable_by_key(|(name, _)| *name);
    used.dedup();
    Ok(used)
}

/// `bound` are the names that macros around this place gave to elements.
fn collect_variables<'c>(code: &'c IdedExpr, bound: &mut Vec<&'c str>, used: &mut Vec<Variable>) -> Result<(), String> {
    let outer = bound.len();
    match &code.expr {
        Expr::Ident(name) if bound.contains(&name.as_str()) || TYPES.contains(&name.as_str()) => return Ok(()),
        Expr::Ident(name) => {
            let known = VARIABLES.iter().find(|(known, _)| known == name).ok_or_else(|| {
                let names: Vec<_> = VARIABLES.iter().map(|(name, _)| *name).collect();
                format!("there is no {name:?}; there are {}", names.join(", "))
            })?;
            used.push(*known);
            return Ok(());
        }
        Expr::Comprehension(it) => {
            bound.extend([it.iter_var.as_str(), it.accu_var.as_str()]);
            bound.extend(it.iter_var2.as_deref());
        }
        _ => {}
    }
    for part in parts(&code.expr) {
        collect_variables(part, bound, used)?;
    }
    bound.truncate(outer);
    Ok(())
}
