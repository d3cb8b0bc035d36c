import Foundation
import Yams

/// Reads a configuration file. Yams keeps the lines, finds keys that stand twice, and holds what the gate does not know: the
/// YAML provider of swift-configuration drops the one and throws on the other.
enum SettingsFile {
    /// A configuration is written by hand; what is longer is some other file.
    private static let longest = 1 << 20

    static func layer(path: String, names: inout SettingsNames) -> SettingsLayer {
        let text: String
        do {
            text = try read(path)
        } catch {
            return failed(path, error.text, place: nil)
        }
        return layer(yaml: text, path: path, names: &names)
    }

    static func layer(yaml: String, path: String, names: inout SettingsNames) -> SettingsLayer {
        do {
            guard let root = try Yams.compose(yaml: yaml) else { return SettingsLayer() }
            var reading = Reading(path: path, names: names)
            reading.walkRoot(root)
            names = reading.names
            return reading.layer
        } catch let error as YamlError {
            let (text, mark) = sentence(error)
            return failed(path, text, place: mark.map { "line \($0.line)" })
        } catch {
            return failed(path, "it is not YAML: correct it", place: nil)
        }
    }

    private static func failed(_ path: String, _ text: String, place: String?) -> SettingsLayer {
        var layer = SettingsLayer()
        layer.problems.append(SettingsProblem(key: path, text: text, place: place))
        return layer
    }

    private static func read(_ path: String) throws(Mismatch) -> String {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw Mismatch(text: "the file cannot be read: create it, or give another with --config")
        }
        defer { try? file.close() }
        let data: Data
        do {
            // nil is the end of an empty file.
            data = try file.read(upToCount: longest + 1) ?? Data()
        } catch {
            throw Mismatch(text: "the file cannot be read: give a readable one with --config")
        }
        guard data.count <= longest else { throw Mismatch(text: "the file is longer than 1 MiB: give a configuration") }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw Mismatch(text: "the file is not UTF-8: save it as UTF-8")
        }
        return text
    }

    private static func sentence(_ error: YamlError) -> (text: String, mark: Mark?) {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            ("it is not YAML: \(problem)", mark)
        case .duplicatedKeysInMapping(let duplicates, let context):
            ("\(duplicates.map(quoted).joined(separator: ", ")) stands twice: keep one", context.mark)
        default:
            ("it is not YAML: correct it", nil)
        }
    }
}

/// The walk through a file.
private struct Reading {
    let path: String
    var names: SettingsNames
    var layer = SettingsLayer()

    mutating func walkRoot(_ root: Node) {
        if isNull(root) { return }
        guard case .mapping(let mapping) = root else {
            return complain(path, "the file holds \(kind(of: root)) where a map of settings belongs", root)
        }
        walk(mapping, below: [])
    }

    private mutating func walk(_ mapping: Node.Mapping, below parent: [String]) {
        let named = names.namedGroup(parent.joined(separator: "."))
        for (key, value) in mapping {
            guard case .scalar(let scalar) = key else {
                complain(dotted(parent), "a key is \(kind(of: key)): write a name", key)
                continue
            }
            let components = parent + [scalar.string]
            if let named {
                guard SettingGroup.isName(scalar.string) else {
                    complain(
                        dotted(components),
                        "a name has 1 to 64 letters, digits, dots, hyphens or underscores",
                        key
                    )
                    continue
                }
                names.add(scalar.string, to: named)
            }
            visit(value, components, key)
        }
    }

    private mutating func visit(_ value: Node, _ components: [String], _ key: Node) {
        let name = dotted(components)
        if let row = names.rows[name], row.components == components {
            read(value, row)
        } else if names.isGroup(name), !isDottedKey(components) {
            if case .mapping(let mapping) = value {
                walk(mapping, below: components)
            } else if !isNull(value) {
                complain(name, "\(kind(of: value)) stands where a group of settings belongs", value)
            }
        } else if names.rows[name] != nil || names.isGroup(name) {
            complain(name, "write the groups one below the other, each indented, and not with dots", key)
        } else {
            complain(name, names.advice(for: name), key)
        }
    }

    /// Whether a group's name was written with dots. A name of the operator's may hold them.
    private func isDottedKey(_ components: [String]) -> Bool {
        guard let last = components.last, last.contains(".") else { return false }
        return names.namedGroup(dotted(components.dropLast())) == nil
    }

    private mutating func read(_ value: Node, _ row: SettingRow<Settings>) {
        // A key without a value has its default, so that what `check` prints can be read again.
        if isNull(value) { return }
        switch (value, row.form) {
        case (.scalar(let scalar), .one):
            layer.insert(row.components, .one(scalar.string), at: place(value))
        case (.scalar(let scalar), .list), (.scalar(let scalar), .map):
            layer.insert(row.components, SettingsLayer.value(scalar.string, as: row.form), at: place(value))
        case (.sequence(let sequence), .list):
            var texts: [String] = []
            for item in sequence {
                guard case .scalar(let scalar) = item else {
                    return complain(row.name, "\(kind(of: item)) stands in a list of single values", item)
                }
                texts.append(scalar.string)
            }
            layer.insert(row.components, .many(texts), at: place(value))
        case (.mapping(let mapping), .map):
            var texts: [String] = []
            for (key, item) in mapping {
                guard case .scalar(let key) = key, case .scalar(let scalar) = item else {
                    return complain(row.name, "each entry is a name and a single value", item)
                }
                texts.append("\(key.string)=\(scalar.string)")
            }
            layer.insert(row.components, .many(texts), at: place(value))
        default:
            complain(row.name, "\(kind(of: value)) stands where \(row.expected) belongs", value)
        }
    }

    private func isNull(_ node: Node) -> Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    private func kind(of node: Node) -> String {
        switch node {
        case .scalar(let scalar): "the single value \(quoted(scalar.string))"
        case .mapping: "a map"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }

    private func dotted(_ components: some Sequence<String>) -> String { components.joined(separator: ".") }

    private func place(_ node: Node) -> String { node.mark.map { "\(path), line \($0.line)" } ?? path }

    private mutating func complain(_ key: String, _ text: String, _ node: Node) {
        layer.problems.append(SettingsProblem(key: key, text: text, place: place(node)))
    }
}
