import Foundation
import PortcullisClient

/// What commands write: results on standard output, everything else on standard error.
enum CommandOutput {
    static func write(_ text: String, to descriptor: Int32) {
        FileHandle(fileDescriptor: descriptor).write(Data(text.utf8))
    }

    static func line(_ text: String) {
        write(text + "\n", to: 1)
    }

    static func failure(_ sentence: String) {
        write("portcullis: \(sentence)\n", to: 2)
    }

    static func warn(_ sentence: String) {
        write("portcullis: warning: \(sentence)\n", to: 2)
    }

    /// An object as one line of JSON.
    static func json(_ object: [String: Any]) throws {
        let data = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        line(String(decoding: data, as: UTF8.self))
    }

    /// Rows in columns as wide as their widest cell. Ids are strangers' text: nothing in them reaches the terminal as a command.
    static func table(_ head: [String], _ rows: [[String]]) -> String {
        let all = [head] + rows.map { $0.map { PlainText.clean($0, limit: 80) } }
        let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
                .joined(separator: "  ").trimmingTrailingSpaces
        }.joined(separator: "\n")
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
