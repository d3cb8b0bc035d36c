extension StaticString {
    /// The text as C wants it. Safe to keep: a static string ends in a zero and lives as long as the process.
    ///
    /// OpenSSL keeps pointers to names in parameters, decoders and contexts, and a `String` that is passed to C lives for one call.
    var forever: UnsafePointer<CChar> {
        UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
