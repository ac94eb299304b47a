//! Walks the tree of an expression and says its type.

use sqlparser::{
    ast::{
        AccessExpr, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr,
        FunctionArguments, Ident, LambdaFunction, Subscript, UnaryOperator, Value,
    },
    dialect::{DatabricksDialect, Dialect, SparkSqlDialect},
    parser::Parser,
    tokenizer::Token,
};

use super::{
    functions::{self, Argument},
    tree::Kind,
};

/// The type of an expression; `None` if it cannot be read.
pub(super) fn kind(text: &str, column: &dyn Fn(&str) -> Option<String>) -> Option<Kind> {
    let reader = Reader {
        column,
        variables: Vec::new(),
    };
    Some(reader.kind(&tree(text)?))
}

/// The type of a column, or of a cast to something simple.
pub(super) fn certain(text: &str, column: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match tree(text)? {
        Expr::Identifier(name) => column(&name.value),
        Expr::Cast { data_type, .. } => match Kind::of_type(&data_type.to_string()) {
            Kind::Plain(name) if !name.starts_with("decimal") => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn tree(text: &str) -> Option<Expr> {
    // The first knows literals and lambdas better, the second DIV.
    let dialects: [&dyn Dialect; 2] = [&DatabricksDialect {}, &SparkSqlDialect {}];
    dialects.into_iter().find_map(|dialect| {
        let mut parser = Parser::new(dialect).try_with_sql(text).ok()?;
        let tree = parser.parse_expr().ok()?;
        (parser.peek_token().token == Token::EOF).then_some(tree)
    })
}

struct Reader<'a> {
    column: &'a dyn Fn(&str) -> Option<String>,
    /// Of the lambdas around, the innermost last.
    variables: Vec<(String, Kind)>,
}

impl Reader<'_> {
    fn kind(&self, tree: &Expr) -> Kind {
        match tree {
            Expr::Identifier(name) => self.path(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(names) => self.path(names),
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            Expr::Value(value) => literal(&value.value),
            Expr::TypedString(typed) => Kind::of_type(&typed.data_type.to_string()),
            Expr::Nested(inner) => self.kind(inner),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::BinaryOp { left, op, right } => binary(&self.kind(left), op, &self.kind(right)),
            Expr::Cast { data_type, .. } => match Kind::of_type(&data_type.to_string()) {
                Kind::Plain(name) if name == "decimal" => Kind::plain("decimal(10,0)"),
                kind => kind,
            },
            Expr::Case {
                conditions,
                else_result,
                ..
            } => {
                let results = conditions.iter().map(|when| &when.result);
                let results = results.chain(else_result.as_deref());
                functions::common(&results.map(|tree| self.kind(tree)).collect::<Vec<_>>())
            }
            Expr::Function(call) => self.call(call),
            Expr::Struct { values, .. } => {
                let arguments: Vec<Argument> =
                    values.iter().map(|tree| self.argument(tree)).collect();
                functions::kind("STRUCT", &arguments)
            }
            Expr::Ceil { expr, .. } => functions::kind("CEIL", &[self.argument(expr)]),
            Expr::Floor { expr, .. } => functions::kind("FLOOR", &[self.argument(expr)]),
            Expr::Trim { .. } | Expr::Substring { .. } | Expr::Overlay { .. } => {
                Kind::plain("string")
            }
            Expr::Position { .. } => Kind::plain("int"),
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::In { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::RLike { .. } => Kind::plain("boolean"),
            _ => Kind::Unknown,
        }
    }

    /// A lambda's variable, a column, or a column behind the names of its table, and what is
    /// taken out of it.
    fn path(&self, names: &[Ident]) -> Kind {
        let Some(first) = names.first() else {
            return Kind::Unknown;
        };
        let mut variables = self.variables.iter().rev();
        let found = variables.find(|(name, _)| name.eq_ignore_ascii_case(&first.value));
        let (root, fields) = match found {
            Some((_, kind)) => (kind.clone(), &names[1..]),
            None => match names
                .iter()
                .enumerate()
                .find_map(|(at, name)| Some((Kind::of_type(&(self.column)(&name.value)?), at)))
            {
                Some((kind, at)) => (kind, &names[at + 1..]),
                None => (number_with_suffix(names), &[][..]),
            },
        };
        fields
            .iter()
            .fold(root, |kind, name| kind.field(&name.value))
    }

    /// `root[0].field`
    fn access(&self, root: &Expr, chain: &[AccessExpr]) -> Kind {
        // The names in front of the first bracket may be those of a table.
        let mut names: Vec<Ident> = match root {
            Expr::Identifier(name) => vec![name.clone()],
            Expr::CompoundIdentifier(names) => names.clone(),
            _ => Vec::new(),
        };
        let is_path = !names.is_empty();
        let dots = chain.iter().map_while(|step| match step {
            AccessExpr::Dot(Expr::Identifier(name)) if is_path => Some(name.clone()),
            _ => None,
        });
        let read = names.len();
        names.extend(dots);
        let rest = &chain[names.len() - read..];
        let root = match is_path {
            true => self.path(&names),
            false => self.kind(root),
        };
        rest.iter().fold(root, |kind, step| match step {
            AccessExpr::Dot(Expr::Identifier(name)) => kind.field(&name.value),
            AccessExpr::Subscript(Subscript::Index { .. }) => kind.item(),
            _ => Kind::Unknown,
        })
    }

    fn unary(&self, operator: UnaryOperator, operand: &Expr) -> Kind {
        match operator {
            UnaryOperator::Not | UnaryOperator::BangNot => Kind::plain("boolean"),
            UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::BitwiseNot => {
                match self.kind(operand) {
                    Kind::Plain(name) if name == "string" => Kind::plain("double"),
                    kind => kind,
                }
            }
            _ => Kind::Unknown,
        }
    }

    fn call(&self, call: &Function) -> Kind {
        let function = call.name.to_string().to_ascii_uppercase();
        let mut arguments: Vec<Argument> = Vec::new();
        if let FunctionArguments::List(list) = &call.args {
            for argument in &list.args {
                let FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) = argument else {
                    return functions::kind(&function, &[]);
                };
                arguments.push(match tree {
                    Expr::Lambda(lambda) => self.lambda(&function, lambda, &arguments),
                    tree => self.argument(tree),
                });
            }
        }
        functions::kind(&function, &arguments)
    }

    /// What a lambda returns, given the arguments before it.
    fn lambda(&self, function: &str, lambda: &LambdaFunction, before: &[Argument]) -> Argument {
        let kinds = functions::variables(function, before);
        let kinds = kinds.into_iter().chain(std::iter::repeat(Kind::Unknown));
        let names = lambda
            .params
            .iter()
            .map(|parameter| parameter.name.value.clone());
        let mut variables = self.variables.clone();
        variables.extend(names.zip(kinds));
        let inner = Reader {
            column: self.column,
            variables,
        };
        inner.argument(&lambda.body)
    }

    fn argument(&self, tree: &Expr) -> Argument {
        let (tree, alias) = match tree {
            Expr::Named { expr, name } => (&**expr, Some(name.value.clone())),
            tree => (tree, None),
        };
        let literal = match tree {
            Expr::Value(value) => value.value.clone().into_string(),
            _ => None,
        };
        Argument {
            kind: self.kind(tree),
            literal,
            name: alias.or_else(|| last_name(tree)),
        }
    }
}

/// The column or field that an expression is.
fn last_name(tree: &Expr) -> Option<String> {
    let name = match tree {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(names) => names.last()?,
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            AccessExpr::Dot(Expr::Identifier(name)) => name,
            _ => return None,
        },
        _ => return None,
    };
    Some(name.value.clone())
}

fn binary(left: &Kind, operator: &BinaryOperator, right: &Kind) -> Kind {
    use BinaryOperator::{
        And, BitwiseAnd, BitwiseOr, BitwiseXor, Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo,
        Multiply, MyIntegerDivide, NotEq, Or, Plus, Spaceship, StringConcat,
    };
    match operator {
        StringConcat => functions::concatenated(&[left.clone(), right.clone()]),
        Divide => match left.promoted(right) {
            Kind::Plain(name) if !name.starts_with("decimal") => Kind::plain("double"),
            other => other,
        },
        MyIntegerDivide => Kind::plain("bigint"),
        Plus | Minus | Multiply | Modulo | BitwiseAnd | BitwiseOr | BitwiseXor => {
            left.promoted(right)
        }
        And | Or | Eq | NotEq | Gt | GtEq | Lt | LtEq | Spaceship => Kind::plain("boolean"),
        _ => Kind::Unknown,
    }
}

fn literal(value: &Value) -> Kind {
    match value {
        Value::Number(number, _) => number_kind(number),
        Value::SingleQuotedString(_) | Value::DoubleQuotedString(_) => Kind::plain("string"),
        Value::HexStringLiteral(_) => Kind::plain("binary"),
        Value::Boolean(_) => Kind::plain("boolean"),
        Value::Null => Kind::Null,
        _ => Kind::Unknown,
    }
}

/// A number with a letter for its type, which the dialect takes for a name.
fn number_with_suffix(names: &[Ident]) -> Kind {
    match names {
        [name]
            if name.quote_style.is_none()
                && name.value.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            number_kind(&name.value)
        }
        _ => Kind::Unknown,
    }
}

/// The type of a literal number.
fn number_kind(number: &str) -> Kind {
    let upper = number.to_ascii_uppercase();
    let digits = upper.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let name = match &upper[digits.len()..] {
        "L" => "bigint",
        "S" => "smallint",
        "Y" => "tinyint",
        "D" => "double",
        "F" => "float",
        "BD" => "decimal",
        "" if digits.contains('E') => "double",
        "" if digits.contains('.') => "decimal",
        "" if digits.parse::<i32>().is_ok() => "int",
        "" if digits.parse::<i64>().is_ok() => "bigint",
        "" => "decimal",
        _ => return Kind::Unknown,
    };
    Kind::plain(name)
}
