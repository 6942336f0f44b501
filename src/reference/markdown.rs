//! How is a page written down? Headings, paragraphs, tables and blocks as Markdown.

/// A page on its way.
pub struct Text(String);

impl Text {
    /// A page with that heading; a remark says where it comes from.
    pub fn titled(title: &str) -> Self {
        Text(format!("<!-- Made from the program by `tests/book.rs`; not for editing. -->\n\n# {title}\n"))
    }

    /// A heading, `level` 2 or more.
    pub fn heading(&mut self, level: usize, title: &str) {
        self.0 += &format!("\n{} {title}\n", "#".repeat(level));
    }

    /// A paragraph of plain words, with literals in backticks; nothing where it is empty.
    pub fn paragraph(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.0 += &format!("\n{}\n", escaped(text.trim()));
        }
    }

    /// A paragraph that is Markdown already, links for instance.
    pub fn raw(&mut self, text: &str) {
        self.0 += &format!("\n{text}\n");
    }

    /// A block of code.
    pub fn block(&mut self, language: &str, code: &str) {
        self.0 += &format!("\n```{language}\n{}\n```\n", code.trim_end());
    }

    /// A table; nothing where it has no rows. Cells are Markdown.
    pub fn table<const N: usize>(&mut self, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return;
        }
        self.0 += "\n";
        self.0 += &line(head.map(str::to_owned).into());
        self.0 += &format!("|{}\n", "---|".repeat(N));
        rows.for_each(|row| {
            self.0 += &line(row.map(|cell| cell.replace('|', "\\|").replace('\n', " ")).into())
        });
    }

    /// The page.
    pub fn finished(self) -> String {
        self.0
    }
}

/// Plain words as Markdown shows them: what it would take for marks is escaped, but not between backticks.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut code = false;
    for c in text.chars() {
        code ^= c == '`';
        if !code && "<>*_[]".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_escaped_but_not_in_code() {
        assert_eq!(escaped("a <b> of `<c>*`, d_e"), "a \\<b\\> of `<c>*`, d\\_e");
    }

    #[test]
    fn cells_stay_in_their_row() {
        let mut text = Text(String::new());
        text.table(["a", "b"], [["`x|y`".to_owned(), "two\nlines".to_owned()]]);
        assert_eq!(text.finished(), "\n| a | b |\n|---|---|\n| `x\\|y` | two lines |\n");
    }
}
