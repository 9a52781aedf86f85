# build_target.sh SOURCE_DIRECTORY OUTPUT_DIRECTORY COMPILER LINK-FLAG FLAGS...: the stack target and
# the heap target, executables and three libraries, built as most code is: optimized, without frame
# pointers.
set -e
source=$1 output=$2 compiler=$3
shift 3
link=$1
shift
flags="-O2 -g -fomit-frame-pointer -I$source $*"
mkdir -p "$output"
for library in a b c; do
	$compiler $flags -fPIC -shared -DSTEPS=steps_$library \
		-DSIGNAL_STEPS=signal_steps_$library "$source/steps.c" \
		-o "$output/libsteps_$library.so"
done
$compiler $flags -x c++ -c "$source/steps_cxx.cc" -o "$output/steps_cxx.o"
$compiler $flags -c "$source/paths.c" -o "$output/paths.o"
link_target()
{
	name=$1
	shift
	$compiler $flags $link "$@" "$output/paths.o" "$output/steps_cxx.o" -L"$output" -lsteps_a \
		-lsteps_b -lsteps_c -ljpeg -lz -lstdc++ -lpthread -Wl,-rpath,'$ORIGIN' \
		-Wl,--export-dynamic -o "$output/$name"
}
$compiler $flags -x c++ -c "$source/heap_target.cc" -o "$output/heap_target.o"
link_target heap_target "$output/heap_target.o"
link_target stack_target "$source/stack_target.c"
