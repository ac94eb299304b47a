//! The type of a Spark SQL expression, as far as its text and its columns tell it.
//!
//! What happens to an aggregation's input depends on its type: lists and maps are taken apart,
//! booleans are counted, and what the Driver does not take is refused. A script has to say so
//! before Spark sees it.

mod functions;

mod reader;
mod tree;

pub(crate) use tree::Kind;

impl Kind {
    /// The type of an expression over columns of these types, as Hive writes them.
    pub(crate) fn of_expression(text: &str, column: &dyn Fn(&str) -> Option<String>) -> Self {
        match reader::kind(text, column) {
            Some(Self::Null) | None => Self::Unknown,
            Some(kind) => kind,
        }
    }

    /// The type that an expression has whatever Spark thinks of its inside: that of the column
    /// that it is, as Hive writes it, or the one that it is cast to.
    pub(crate) fn certain(text: &str, column: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        reader::certain(text, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(expression: &str) -> String {
        let column = |name: &str| {
            let data_type = match name.to_ascii_lowercase().as_str() {
                "qty" => "int",
                "sm" => "smallint",
                "price" => "double",
                "amt" => "decimal(10,2)",
                "cat" => "string",
                "gift" => "boolean",
                "due" => "date",
                "nums" => "array<int>",
                "attr" => "map<string,double>",
                "st" => "struct<a:int,l:array<string>,m:map<string,double>,s:struct<z:string>>",
                "ls" => "array<struct<x:int,y:string>>",
                _ => return None,
            };
            Some(data_type.to_owned())
        };
        let kind = Kind::of_expression(expression, &column);
        kind.text().unwrap_or_else(|| "?".to_owned())
    }

    #[test]
    fn operators_and_literals() {
        let expected = [
            ("qty", "int"),
            ("`qty` + sm", "int"),
            ("qty / 2", "double"),
            ("qty * 1.5", "decimal"),
            ("price * 1.5", "double"),
            ("1.5D * qty", "double"),
            ("qty % 2 = 0 OR gift", "boolean"),
            ("NOT gift", "boolean"),
            ("(qty > 2) = gift", "boolean"),
            ("sm NOT BETWEEN 1 AND 5", "boolean"),
            ("cat IN ('x', 'y') AND cat RLIKE 'z'", "boolean"),
            ("cat IS NOT NULL", "boolean"),
            ("-qty", "int"),
            ("qty div 2", "bigint"),
            ("cat || '-'", "string"),
            ("due > date '2026-02-01'", "boolean"),
            ("price + other", "?"),
            ("other", "?"),
            ("NULL", "?"),
            ("5000000000", "bigint"),
            (
                "CASE WHEN gift THEN attr ELSE map('z', 0.5D) END",
                "map<string,double>",
            ),
            ("case cat when 'x' then nums end", "array<int>"),
            ("qty +", "?"),
        ];
        for (expression, text) in expected {
            assert_eq!(kind(expression), text, "{expression}");
        }
    }

    #[test]
    fn functions_lambdas_and_fields() {
        let expected = [
            ("st.a", "int"),
            ("st.s.z", "string"),
            ("st.m", "map<string,double>"),
            ("src.orders.qty", "int"),
            ("ls.x", "array<int>"),
            ("ls[0].y", "string"),
            ("nums[0]", "int"),
            ("attr['k']", "double"),
            ("from_json(cat, 'array<int>')", "array<int>"),
            (
                "from_json(cat, 'a INT, b ARRAY<STRING>').b",
                "array<string>",
            ),
            ("transform(ls, e -> e.x)", "array<int>"),
            (
                "transform(split(cat, ','), (x, i) -> cast(x as double))",
                "array<double>",
            ),
            ("aggregate(nums, 0L, (a, b) -> a + b)", "bigint"),
            ("aggregate(nums, 0, (a, b) -> a + b, a -> a / 2)", "double"),
            (
                "transform_values(attr, (k, v) -> v > 1)",
                "map<string,boolean>",
            ),
            (
                "map_from_entries(transform(nums, x -> struct(cat, x)))",
                "map<string,int>",
            ),
            ("IF(gift, nums, array(0))", "array<int>"),
            ("coalesce(st.l, f(cat))", "array<string>"),
            ("if(gift, qty, f(cat))", "?"),
            ("extract(YEAR FROM due)", "?"),
            ("length(trim(BOTH 'x' FROM cat))", "int"),
            ("cast(f(a, b) as map<string, int>)", "map<string,int>"),
            ("map(coalesce(qty, 0), cat)", "map<int,string>"),
            ("array(array(qty))", "array<array<int>>"),
            ("flatten(array(nums))", "array<int>"),
            ("round(price, 1)", "double"),
            ("cast(amt as decimal(8,1))", "decimal(8,1)"),
            ("named_struct('a', qty, 'b', cat)", "struct<a:int,b:string>"),
        ];
        for (expression, text) in expected {
            assert_eq!(kind(expression), text, "{expression}");
        }
    }

    #[test]
    fn maps_inside_anything_get_an_order() {
        let kind = Kind::of_type("struct<a:int,m:map<string,double>>");
        assert_eq!(
            kind.orderable("x"),
            "IF(x IS NULL, NULL, NAMED_STRUCT('a', x.`a`, 'm', ARRAY_SORT(MAP_ENTRIES(x.`m`))))"
        );
        assert_eq!(
            kind.restored("x"),
            "IF(x IS NULL, NULL, NAMED_STRUCT('a', x.`a`, 'm', MAP_FROM_ENTRIES(x.`m`)))"
        );
        let nested = Kind::of_type("map<string,map<string,int>>");
        assert_eq!(
            nested.restored("x"),
            "MAP_FROM_ENTRIES(TRANSFORM(x, m0 -> NAMED_STRUCT('key', m0.key, 'value', MAP_FROM_ENTRIES(m0.value))))"
        );
        let list = Kind::of_type("array<map<string,int>>");
        assert_eq!(
            list.orderable("x"),
            "TRANSFORM(x, m0 -> ARRAY_SORT(MAP_ENTRIES(m0)))"
        );
        assert_eq!(Kind::of_type("array<int>").orderable("x"), "x");
    }
}
