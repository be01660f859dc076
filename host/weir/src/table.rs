//! Tables for people: columns without lines, which stay readable in a pipe.

use comfy_table::{ContentArrangement, Table, presets};

/// Lays rows out under their headings. Nothing is wrapped or cut: a terminal or a pager does that better.
pub fn render(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let rows = [
            vec!["voyage".to_owned(), "1".to_owned()],
            vec!["x".to_owned(), String::new()],
        ];
        assert_eq!(render(&["pool", "active"], rows), "POOL    ACTIVE\nvoyage  1\nx");
    }
}
