/* SPDX-License-Identifier: GPL-2.0-only */
/* Templates, namespaces, virtual calls, lambdas, containers. */
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

extern "C" int library_entry(int value);

namespace vision
{
struct Shape {
	virtual ~Shape() = default;
	virtual int area(int scale) const = 0;
};

template <typename T> class Box : public Shape
{
      public:
	explicit Box(T side) : side_(side), names_(3, "name")
	{
	}
	int area(int scale) const override
	{
		return static_cast<int>(side_ * side_) * scale;
	}

      private:
	T side_;
	std::vector<std::string> names_;
};

namespace
{
__attribute__((noinline)) int hidden(const std::map<int, std::string> &map)
{
	int sum = 0;

	for (const auto &[key, value] : map)
		sum += key + static_cast<int>(value.size());
	return sum;
}
} // namespace

__attribute__((noinline)) int build(int count)
{
	std::vector<std::unique_ptr<Shape>> shapes;
	std::map<int, std::string> map;
	std::function<int(int)> scale = [count](int value) { return value * count; };

	for (int i = 0; i < count; i++) {
		shapes.push_back(std::make_unique<Box<int>>(i));
		shapes.push_back(std::make_unique<Box<double>>(i * 0.5));
		map[i] = std::to_string(i);
	}
	int sum = hidden(map);

	for (const auto &shape : shapes)
		sum += shape->area(scale(2));
	return sum;
}
} // namespace vision

int main(int argc, char **)
{
	std::printf("ready %d\n", vision::build(argc + 2) + library_entry(argc));
	std::fflush(stdout);
	for (;;)
		pause();
}
