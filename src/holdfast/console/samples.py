"""A first program in each language: says hello to whoever is named on standard input."""

from __future__ import annotations

from typing import Final

STDIN: Final = "Ada\n"

SAMPLES: Final = {
    "bash": """\
read -r name
echo "Hello, ${name:-world}, from Bash $BASH_VERSION"
""",
    "c": """\
#include <stdio.h>

int main(void) {
    char name[64] = "world";
    scanf("%63s", name);
    printf("Hello, %s, from C\\n", name);
    return 0;
}
""",
    "cpp": """\
#include <iostream>
#include <string>

int main() {
    std::string name = "world";
    std::getline(std::cin, name);
    std::cout << "Hello, " << name << ", from C++\\n";
}
""",
    "csharp": """\
using System;

class Program
{
    static void Main()
    {
        var name = Console.ReadLine() ?? "world";
        Console.WriteLine($"Hello, {name}, from C#");
    }
}
""",
    "go": """\
package main

import "fmt"

func main() {
	name := "world"
	fmt.Scanln(&name)
	fmt.Printf("Hello, %s, from Go\\n", name)
}
""",
    "java": """\
import java.util.Scanner;

public class Main {
    public static void main(String[] args) {
        var in = new Scanner(System.in);
        var name = in.hasNextLine() ? in.nextLine() : "world";
        System.out.println("Hello, " + name + ", from Java");
    }
}
""",
    "javascript": """\
const fs = require("fs");

const name = fs.readFileSync(0, "utf8").trim() || "world";
console.log(`Hello, ${name}, from Node ${process.version}`);
""",
    "perl": """\
use strict;
use warnings;

chomp(my $name = <STDIN> // "world");
print "Hello, $name, from Perl\\n";
""",
    "python": """\
import sys

name = sys.stdin.readline().strip() or "world"
print(f"Hello, {name}, from Python {sys.version.split()[0]}")
""",
    "ruby": """\
name = (gets || "world").chomp
puts "Hello, #{name}, from Ruby #{RUBY_VERSION}"
""",
    "rust": """\
use std::io;

fn main() {
    let mut name = String::new();
    io::stdin().read_line(&mut name).unwrap();
    println!("Hello, {}, from Rust", name.trim());
}
""",
    "typescript": """\
const chunks: string[] = [];
process.stdin.on("data", (chunk) => chunks.push(String(chunk)));
process.stdin.on("end", () => {
    const name: string = chunks.join("").trim() || "world";
    console.log(`Hello, ${name}, from TypeScript`);
});
""",
}
