import Glibc

/// What the system says about an error number, for the middle of a sentence: `no such file or directory`.
func systemText(_ number: Int32) -> String {
    let text = String(cString: strerror(number))
    return text.prefix(1).lowercased() + text.dropFirst()
}
