/// The reasons and actors that decisions carry, each pair kept once: many decisions have the same.
struct Remarks: Sendable {
    private struct Remark: Hashable {
        var reason: String?
        var actor: String?
    }

    private var list: [Remark] = [Remark()]
    private var numbers: [Remark: UInt16] = [Remark(): 0]

    /// More pairs than this are not kept: a decision counts without them.
    static let capacity = 4096
    /// Nor is one that is longer than this, in bytes.
    static let longest = 512

    /// The number of a pair; 0 for none, or where there is no room.
    mutating func note(reason: String?, actor: String?) -> UInt16 {
        if reason == nil, actor == nil { return 0 }
        let remark = Remark(reason: reason, actor: actor)
        if let known = numbers[remark] { return known }
        guard list.count < Self.capacity, (reason?.utf8.count ?? 0) + (actor?.utf8.count ?? 0) <= Self.longest else {
            return 0
        }
        let number = UInt16(list.count)
        list.append(remark)
        numbers[remark] = number
        return number
    }

    subscript(number: UInt16) -> (reason: String?, actor: String?) {
        guard Int(number) < list.count else { return (nil, nil) }
        return (list[Int(number)].reason, list[Int(number)].actor)
    }
}
